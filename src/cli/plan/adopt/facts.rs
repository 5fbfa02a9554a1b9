//! An object as single settings: each with its path, without what Kubernetes fills in by itself. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Settings by their paths, for example `template.spec.nodeSelector[disk]`.
pub(super) type Facts = BTreeMap<String, Value>;

/// What the container that is Flagsmith is called while templates are compared.
pub(super) const OWN: &str = "flagsmith";

/// Lists whose elements have an identity, and the field that is it. Any other list is one setting as a whole.
const IDENTITIES: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("ports", "port"),
    ("hostAliases", "ip"),
];

/// Maps whose keys are the user's own, which may have dots.
const MAPS: &[&str] =
    &["labels", "annotations", "matchLabels", "nodeSelector", "limits", "requests", "selector"];

/// What the API server fills in where nothing is said: the end of a path, and the value.
fn defaults() -> [(&'static str, Value); 31] {
    [
        (".restartPolicy", json!("Always")),
        (".dnsPolicy", json!("ClusterFirst")),
        (".schedulerName", json!("default-scheduler")),
        (".terminationGracePeriodSeconds", json!(30)),
        (".terminationMessagePath", json!("/dev/termination-log")),
        (".terminationMessagePolicy", json!("File")),
        (".protocol", json!("TCP")),
        ("Probe.successThreshold", json!(1)),
        ("Probe.timeoutSeconds", json!(1)),
        ("Probe.periodSeconds", json!(10)),
        ("Probe.failureThreshold", json!(3)),
        ("Probe.httpGet.scheme", json!("HTTP")),
        (".fieldRef.apiVersion", json!("v1")),
        (".defaultMode", json!(420)),
        ("replicas", json!(1)),
        ("progressDeadlineSeconds", json!(600)),
        ("revisionHistoryLimit", json!(10)),
        ("strategy.type", json!("RollingUpdate")),
        ("strategy.rollingUpdate.maxSurge", json!("25%")),
        ("strategy.rollingUpdate.maxUnavailable", json!("25%")),
        ("sessionAffinity", json!("None")),
        ("internalTrafficPolicy", json!("Cluster")),
        ("externalTrafficPolicy", json!("Cluster")),
        ("allocateLoadBalancerNodePorts", json!(true)),
        ("ipFamilyPolicy", json!("SingleStack")),
        ("type", json!("ClusterIP")),
        ("].weight", json!(1)),
        ("].group", json!("")),
        ("].kind", json!("Service")),
        (".imagePullPolicy", json!("IfNotPresent")),
        (".hostNetwork", json!(false)),
    ]
}

/// Fields that only the server writes.
const OF_SERVER: &[&str] =
    &["clusterIP", "clusterIPs", "ipFamilies", "template.spec.serviceAccount", "healthCheckNodePort"];

/// Annotations that Kubernetes, kubectl and Helm write.
pub(super) fn is_of_tools(key: &str) -> bool {
    [
        "deployment.kubernetes.io/",
        "kubectl.kubernetes.io/",
        "meta.helm.sh/",
        "helm.sh/",
        "autoscaling.alpha.kubernetes.io/",
    ]
    .iter()
    .any(|prefix| key.starts_with(prefix))
}

/// The labels and annotations of an object, and its specification.
pub(super) fn of(object: &Value) -> Facts {
    let mut facts = Facts::new();
    for part in ["labels", "annotations"] {
        if let Some(map) = object.pointer(&format!("/metadata/{part}")) {
            flatten(part, part, map, &mut facts);
        }
    }
    for (key, value) in object["spec"].as_object().into_iter().flatten() {
        flatten(key, key, value, &mut facts);
    }
    let defaults = defaults();
    facts.retain(|path, value| {
        let ends =
            |end: &str| if end.starts_with(['.', ']', 'P']) { path.ends_with(end) } else { path == end };
        let is_default = |(end, default): &(&str, Value)| value == default && ends(end);
        let tools = path.contains("annotations[")
            && path.rsplit_once("annotations[").is_some_and(|(_, key)| is_of_tools(key));
        !(is_nothing(value) || defaults.iter().any(is_default) || OF_SERVER.contains(&path.as_str()) || tools)
    });
    facts
}

/// Whether a value is that of a field that is not there.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// `field` is the name of the field that `value` is in.
fn flatten(path: &str, field: &str, value: &Value, facts: &mut Facts) {
    let identity = IDENTITIES.iter().find(|(list, _)| *list == field).map(|(_, identity)| *identity);
    match (value, identity) {
        (Value::Object(map), _) if !map.is_empty() => fields(path, field, map, facts),
        (Value::Array(items), Some(identity)) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let key = match &item[identity] {
                    Value::String(text) => text.clone(),
                    // A container's port has no port of a Service.
                    Value::Null => {
                        item["containerPort"].as_i64().map_or_else(|| index.to_string(), |it| it.to_string())
                    }
                    other => other.to_string(),
                };
                flatten(&format!("{path}[{key}]"), "", item, facts);
            }
        }
        _ => {
            facts.insert(path.to_owned(), value.clone());
        }
    }
}

fn fields(path: &str, field: &str, map: &Map<String, Value>, facts: &mut Facts) {
    // An emptyDir says something by being there.
    for (key, value) in map {
        let bracketed = MAPS.contains(&field);
        let inner = if bracketed { format!("{path}[{key}]") } else { format!("{path}.{key}") };
        let is_mark = key == "emptyDir" && is_nothing(value);
        if is_mark {
            facts.insert(inner, json!("{}"));
        } else {
            flatten(&inner, if bracketed { "" } else { key }, value, facts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_no_setting() {
        let facts = of(&json!({
            "metadata": { "labels": { "a.b/c": "1" }, "annotations": { "deployment.kubernetes.io/revision": "7", "x": "y" } },
            "spec": {
                "progressDeadlineSeconds": 600,
                "template": { "spec": {
                    "containers": [{
                        "name": "api", "env": [{ "name": "A", "value": "1" }], "terminationMessagePolicy": "File",
                        "ports": [{ "containerPort": 8000, "protocol": "TCP" }], "resources": {},
                    }],
                    "volumes": [{ "name": "v", "emptyDir": {} }],
                    "dnsPolicy": "ClusterFirst",
                    "tolerations": [{ "key": "a" }],
                } },
            },
        }));
        let paths: Vec<_> = facts.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "annotations[x]",
                "labels[a.b/c]",
                "template.spec.containers[api].env[A].name",
                "template.spec.containers[api].env[A].value",
                "template.spec.containers[api].name",
                "template.spec.containers[api].ports[8000].containerPort",
                "template.spec.tolerations",
                "template.spec.volumes[v].emptyDir",
                "template.spec.volumes[v].name",
            ]
        );
    }
}
