//! What holds for the definition without a cluster; `tests/crd` asks a real API server.

use serde_json::Value;

use super::{crd, crd_yaml};

/// Bytes of compact JSON: `kubectl apply` keeps the object in an annotation, all of which together may have 256 KiB.
const LARGEST: usize = 240 * 1024;

/// Fields whose inside is a type of Kubernetes, documented by Kubernetes.
const OF_KUBERNETES: &[&str] = &[
    "affinity",
    "behavior",
    "conditions",
    "configMapKeyRef",
    "containerSecurityContext",
    "dnsConfig",
    "env",
    "envFrom",
    "extraContainers",
    "hostAliases",
    "initContainers",
    "livenessProbe",
    "pullSecrets",
    "readinessProbe",
    "resources",
    "secretKeyRef",
    "securityContext",
    "selector",
    "startupProbe",
    "tls",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

fn schema() -> Value {
    let crd = serde_json::to_value(crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `visit` with the path and schema of every field of our own types.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, field);
        if !OF_KUBERNETES.contains(&name.as_str()) {
            walk(&path, field, visit);
            walk(&format!("{path}[]"), &field["items"], visit);
        }
    }
}

#[test]
fn every_field_is_described() {
    let mut fields = 0;
    let mut bare = Vec::new();
    walk("", &schema(), &mut |path, field| {
        fields += 1;
        let description = field["description"].as_str().unwrap_or_default();
        if !description.ends_with('.') {
            bare.push(format!("{path}: {description:?}"));
        }
    });
    assert!(fields > 100, "only {fields} fields were found");
    assert!(bare.is_empty(), "{bare:#?}");
}

#[test]
fn kubectl_apply_can_keep_it() {
    let size = serde_json::to_string(&crd()).unwrap().len();
    assert!(size < LARGEST, "{size} bytes");
}

#[test]
fn the_yaml_is_the_same_object() {
    let read: Value = serde_saphyr::from_str(&crd_yaml().unwrap()).unwrap();
    assert_eq!(read, serde_json::to_value(crd()).unwrap());
}

/// Where a list, a map or a text of the specification may have any size.
fn unbounded(path: &str, schema: &Value, found: &mut Vec<String>) {
    let is = |kind: &str| schema["type"] == kind;
    let without = |limit: &str| schema[limit].is_null();
    let is_unbounded = is("array") && without("maxItems")
        || is("string") && without("maxLength") && without("enum")
        || schema["additionalProperties"].is_object() && without("maxProperties");
    if is_unbounded {
        found.push(path.to_owned());
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(&format!("{path}.{name}"), field, found);
    }
    for (name, inside) in [("[]", "items"), ("{}", "additionalProperties")] {
        if schema[inside].is_object() {
            unbounded(&format!("{path}{name}"), &schema[inside], found);
        }
    }
}

#[test]
fn everything_in_a_specification_has_an_end() {
    let mut found = Vec::new();
    unbounded("spec", &schema()["properties"]["spec"], &mut found);
    assert!(found.is_empty(), "{} without an end: {:#?}", found.len(), &found[..found.len().min(10)]);
}
