//! What holds for every specification that `validate` accepts.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Value, json};

use super::{everything, typed};
use crate::{
    fixtures::{resource, spec},
    flagsmith::env,
    model::child::{Child, Kind},
    validate::{DesiredState, Installation, validate},
};

/// The value of every environment variable that comes from the user.
const USERS: &str = "the-users-own";

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::option::of(value).prop_map(|value| value.unwrap_or(Value::Null))
}

/// Some of the names, each once; now and then one that is refused besides.
fn names(good: &'static [&'static str], bad: Vec<&'static str>) -> impl Strategy<Value = Vec<&'static str>> {
    let bad = prop_oneof![40 => Just(None), 1 => select(bad).prop_map(Some)];
    (subsequence(good, 0..=good.len().min(3)), bad)
        .prop_map(|(names, bad)| names.into_iter().chain(bad).collect())
}

fn variables() -> impl Strategy<Value = Value> {
    const GOOD: &[&str] = &[
        "LOG_FORMAT",
        "LOG_LEVEL",
        "PROMETHEUS_ENABLED",
        "ACCESS_LOG_LOCATION",
        "USE_X_FORWARDED_HOST",
        "FLAGSMITH_PROXY_API_URL",
    ];
    let reserved = env::RESERVED.iter().map(|(name, _)| *name).chain(["REPLICA_DATABASE_URL_0"]).collect();
    names(GOOD, reserved)
        .prop_map(|names| names.iter().map(|name| json!({ "name": name, "value": USERS })).collect())
}

fn pod() -> impl Strategy<Value = (Value, Value)> {
    let volumes = names(&["ca", "data", "scratch", "run"], vec!["tmp", "prometheus"]);
    let paths =
        names(&["/etc/ca", "/data", "/tmp/cache", "/scratch"], vec!["/tmp", "/tmp/prometheus", "/data"]);
    (volumes, paths, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(volumes, paths, index, labels)| {
            let mounts: Vec<_> = paths
                .iter()
                .filter(|_| !volumes.is_empty())
                .map(|path| json!({ "name": index.get(&volumes), "mountPath": path }))
                .collect();
            let volumes: Vec<_> =
                volumes.iter().map(|name| json!({ "name": name, "emptyDir": {} })).collect();
            let labels =
                if labels { json!({ "team": "flags", "example.com/tier": "web" }) } else { json!({}) };
            (json!({ "volumes": volumes, "labels": labels }), Value::Array(mounts))
        },
    )
}

fn container() -> impl Strategy<Value = Value> {
    let security = maybe(Just(json!({ "runAsNonRoot": true })));
    let probe = || {
        maybe((1..60).prop_map(|period| json!({ "tcpSocket": { "port": 8000 }, "periodSeconds": period })))
    };
    (variables(), pod(), security, probe(), probe()).prop_map(
        |(env, (pod, mounts), security, startup, liveness)| {
            json!({
                "env": env,
                "pod": pod,
                "volumeMounts": mounts,
                "containerSecurityContext": security,
                "startupProbe": startup,
                "livenessProbe": liveness,
            })
        },
    )
}

fn scaled() -> impl Strategy<Value = Value> {
    let autoscaling = (1..5, 4..9).prop_map(|(min, max)| json!({ "minReplicas": min, "maxReplicas": max }));
    prop_oneof![
        4 => Just(json!({})),
        4 => (0..20).prop_map(|count| json!({ "replicas": count })),
        4 => autoscaling.clone().prop_map(|it| json!({ "autoscaling": it })),
        1 => autoscaling.prop_map(|it| json!({ "replicas": 1, "autoscaling": it })),
    ]
}

fn component() -> impl Strategy<Value = Value> {
    (container(), scaled()).prop_map(|(mut container, scaled)| {
        if let (Some(container), Value::Object(scaled)) = (container.as_object_mut(), scaled) {
            container.extend(scaled);
        }
        container
    })
}

fn database() -> impl Strategy<Value = Value> {
    let source = |name: &str| json!({ "secretKeyRef": { "name": name, "key": "url" } });
    prop_oneof![
        Just(json!({ "embedded": {} })),
        Just(json!({ "urlFrom": source("app") })),
        (0..4_usize, any::<bool>()).prop_map(move |(replicas, owner)| json!({
            "urlFrom": source("app"),
            "migrationUrlFrom": owner.then(|| source("owner")),
            "analyticsUrlFrom": source("analytics"),
            "replicaUrlsFrom": vec![source("replica"); replicas],
        })),
    ]
}

fn exposure() -> impl Strategy<Value = Value> {
    let host = prop_oneof![6 => select(vec!["flags.example.com", "*.example.com", "*", "a"]), 1 => Just("https://a")];
    let kind = prop_oneof![
        Just(json!({ "ingress": { "className": "nginx" } })),
        Just(json!({ "httpRoute": { "parentRefs": [{ "name": "public" }] } })),
    ];
    (prop::collection::vec(host, 1..3), kind).prop_map(|(hosts, mut exposure)| {
        exposure["hosts"] = json!(hosts);
        exposure
    })
}

/// A specification, most of the time one that `validate` accepts.
fn specification() -> impl Strategy<Value = Value> {
    let version = (0..9_u32, 169..300_u32).prop_map(|(patch, minor)| format!("2.{minor}.{patch}"));
    let general =
        (version, 5..=3600, database(), maybe(exposure()), variables(), maybe(Just(json!("own-account"))));
    let monitoring = prop_oneof![
        Just(Value::Null),
        Just(json!({ "podAnnotations": {} })),
        Just(json!({ "podMonitor": { "labels": { "release": "prometheus" } } })),
    ];
    let frontend = (component(), prop::bool::weighted(0.8)).prop_map(|(mut component, enabled)| {
        component["enabled"] = json!(enabled);
        component
    });
    let api = (component(), 1..=64, 1..=64).prop_map(|(mut component, workers, threads)| {
        component["gunicorn"] = json!({ "workers": workers, "threads": threads });
        component
    });
    (general, api, container(), frontend, pod(), monitoring).prop_map(
        |(general, api, processor, frontend, (pod, mounts), monitoring)| {
            let (version, timeout, database, exposure, env, account) = general;
            spec(json!({
                "version": version,
                "requestTimeoutSeconds": timeout,
                "database": database,
                "exposure": exposure,
                "monitoring": monitoring,
                "env": env,
                "serviceAccountName": account,
                "api": api,
                "taskProcessor": processor,
                "frontend": frontend,
                "migrations": { "pod": pod, "volumeMounts": mounts },
            }))
        },
    )
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let names: Vec<_> = names.collect();
    let set: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(set.len(), names.len(), "twice in {names:?}");
    set
}

fn is_dns_label(name: &str) {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = name.len() <= 63 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    assert!(good && name.starts_with(|first: char| first.is_ascii_lowercase()), "{name:?}");
}

/// Labels as Kubernetes defines them (a prefix, a name of 63 characters, a value of 63).
fn are_labels(labels: &Value) {
    let part = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let edge = |text: Option<u8>| text.is_some_and(|byte| byte.is_ascii_alphanumeric());
        text.len() <= 63 && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
    };
    for (key, value) in labels.as_object().unwrap() {
        assert!(part(key.rsplit('/').next().unwrap()) && part(value.as_str().unwrap()), "{key}: {value}");
    }
}

fn is_subset(selector: &Value, labels: &Value) -> bool {
    selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
}

fn template(child: &Child) -> Option<&Value> {
    child.body.pointer("/spec/template")
}

/// Metadata that every object has.
fn belongs(child: &Child, installation: &Installation) {
    is_dns_label(&child.name);
    assert_eq!(text(&child.body, "/metadata/name"), child.name);
    assert_eq!(text(&child.body, "/metadata/namespace"), "prod");
    assert_eq!(text(&child.body, "/metadata/ownerReferences/0/uid"), installation.identity.uid);
    assert_eq!(child.body["metadata"]["ownerReferences"][0]["controller"], true);
    assert_eq!(text(&child.body, "/kind"), child.kind.as_str());
    are_labels(&child.body["metadata"]["labels"]);
    if let Some(template) = template(child) {
        are_labels(&template["metadata"]["labels"]);
        if child.kind != Kind::Job {
            assert!(is_subset(
                &child.body["spec"]["selector"]["matchLabels"],
                &template["metadata"]["labels"]
            ));
        }
    }
}

/// Environment, volumes, mounts and security of a pod template.
fn is_sound(child: &Child, template: &Value, settings: &Value) {
    let volumes =
        unique(items(template, "/spec/volumes").map(|volume| text(volume, "/name")).chain(
            items(&child.body, "/spec/volumeClaimTemplates").map(|claim| text(claim, "/metadata/name")),
        ));
    let container = &template["spec"]["containers"][0];
    assert_eq!(items(template, "/spec/containers").count(), 1);
    unique(items(container, "/env").map(|variable| text(variable, "/name")));
    for variable in items(container, "/env").filter(|variable| variable["value"] == USERS) {
        assert_eq!(env::decided_by(text(variable, "/name")), None, "{variable}");
    }
    unique(items(container, "/volumeMounts").map(|mount| text(mount, "/mountPath").trim_end_matches('/')));
    for mount in items(container, "/volumeMounts") {
        assert!(volumes.contains(text(mount, "/name")), "{mount}");
    }
    assert_eq!(template["spec"]["enableServiceLinks"], false);
    if settings["containerSecurityContext"].is_null() {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"], json!({ "drop": ["ALL"] }));
        assert!(items(container, "/volumeMounts").any(|mount| mount["mountPath"] == "/tmp"));
    }
    assert_eq!(template["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(template["spec"]["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for name in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let probe = &container[name];
        if child.kind == Kind::Job {
            assert!(probe.is_null());
        } else if settings[name].is_null() {
            for bound in ["/periodSeconds", "/timeoutSeconds", "/failureThreshold"] {
                assert!(number(probe, bound) >= 1, "{name}{bound} of {}", child.name);
            }
            if name == "startupProbe" {
                assert!(number(probe, "/periodSeconds") * number(probe, "/failureThreshold") >= 60);
            }
        } else {
            assert_eq!(probe["periodSeconds"], settings[name]["periodSeconds"]);
        }
    }
}

/// The chain of timeouts in the API's pods.
fn is_aligned(api: &Child, timeout: i64, own_liveness: bool) {
    let container = "/spec/template/spec/containers/0";
    let args: Vec<_> = items(&api.body, &format!("{container}/args")).filter_map(Value::as_str).collect();
    let flag = |name: &str| -> i64 {
        let at = args.iter().position(|arg| *arg == name).unwrap();
        args[at + 1].parse().unwrap()
    };
    assert_eq!((args.first(), args.last()), (Some(&"start"), Some(&"api")));
    assert_eq!(flag("--timeout"), timeout);
    assert!(flag("--graceful-timeout") > timeout);
    let pre_stop = number(&api.body, &format!("{container}/lifecycle/preStop/sleep/seconds"));
    let grace = number(&api.body, "/spec/template/spec/terminationGracePeriodSeconds");
    assert!(pre_stop >= 5 && grace > pre_stop + flag("--graceful-timeout"));
    if !own_liveness {
        let liveness = &api.body.pointer(container).unwrap()["livenessProbe"];
        assert!(number(liveness, "/periodSeconds") * number(liveness, "/failureThreshold") > timeout);
    }
}

/// What refers to another object of the installation finds it.
fn finds(child: &Child, children: &[Child]) {
    let find = |kind: Kind, name: &str| {
        let found = children.iter().find(|child| child.kind == kind && child.name == name);
        found.unwrap_or_else(|| panic!("{} refers to {} {name:?}", child.name, kind.as_str()))
    };
    let selects = |selector: &Value| {
        children.iter().filter_map(template).any(|it| is_subset(selector, &it["metadata"]["labels"]))
    };
    match child.kind {
        Kind::Service => {
            let selector = &child.body["spec"]["selector"];
            assert!(
                selects(selector)
                    || children.iter().all(|it| it.name != child.name || it.kind == Kind::Service)
            );
            for port in items(&child.body, "/spec/ports") {
                let named = |it: &Value| {
                    items(it, "/spec/containers/0/ports").any(|open| {
                        open["name"] == port["targetPort"] && open["containerPort"] == port["port"]
                    })
                };
                assert!(
                    children
                        .iter()
                        .filter_map(template)
                        .any(|it| is_subset(selector, &it["metadata"]["labels"]) && named(it))
                );
            }
        }
        Kind::PodDisruptionBudget => assert!(selects(&child.body["spec"]["selector"]["matchLabels"])),
        Kind::HorizontalPodAutoscaler => {
            let deployment = find(Kind::Deployment, text(&child.body, "/spec/scaleTargetRef/name"));
            assert_eq!(deployment.body["spec"]["replicas"], Value::Null);
        }
        Kind::StatefulSet => {
            find(Kind::Service, text(&child.body, "/spec/serviceName"));
        }
        Kind::Ingress => {
            for rule in items(&child.body, "/spec/rules") {
                for path in items(rule, "/http/paths") {
                    let service = find(Kind::Service, text(path, "/backend/service/name"));
                    let port = &path["backend"]["service"]["port"]["number"];
                    assert!(items(&service.body, "/spec/ports").any(|it| it["port"] == *port));
                }
            }
        }
        Kind::HttpRoute => {
            for rule in items(&child.body, "/spec/rules") {
                for backend in items(rule, "/backendRefs") {
                    let service = find(Kind::Service, text(backend, "/name"));
                    assert!(items(&service.body, "/spec/ports").any(|it| it["port"] == backend["port"]));
                }
            }
        }
        Kind::PodMonitor => {
            let selector = &child.body["spec"]["selector"];
            let wanted = &selector["matchExpressions"][0];
            let components: BTreeSet<_> = children
                .iter()
                .filter_map(template)
                .filter(|it| is_subset(&selector["matchLabels"], &it["metadata"]["labels"]))
                .filter(|it| items(it, "/spec/containers/0/ports").any(|port| port["name"] == "metrics"))
                .filter_map(|it| it["metadata"]["labels"][text(wanted, "/key")].as_str())
                .collect();
            let values: BTreeSet<_> = items(wanted, "/values").filter_map(Value::as_str).collect();
            assert_eq!(values, components, "it finds the pods that have metrics, and all of them");
        }
        Kind::ServiceAccount | Kind::Job | Kind::Deployment | Kind::Secret => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_validate_accepts_builds(spec in specification(), name in "[a-z]([-a-z0-9]{0,38}[a-z0-9])?") {
        let mut resource = resource(&spec);
        resource.metadata.name = Some(name.clone());
        let Some(installation) = validate(&resource).ok().and_then(DesiredState::managed) else {
            return Err(TestCaseError::reject("refused"));
        };
        let children = everything(&installation);
        unique(children.iter().map(|child| format!("{} {}", child.kind.as_str(), child.name)).collect::<Vec<_>>().iter().map(String::as_str));
        prop_assert!(children.windows(2).all(|pair| pair[0].kind <= pair[1].kind));
        for child in &children {
            belongs(child, &installation);
            typed::loses_nothing(child);
            finds(child, &children);
            let Some(template) = template(child) else { continue };
            let settings = match child.name.strip_prefix(&format!("{name}-")) {
                Some("api") => &spec["api"],
                Some("task-processor") => &spec["taskProcessor"],
                Some("frontend") => &spec["frontend"],
                _ => &Value::Null,
            };
            is_sound(child, template, settings);
            let account = text(template, "/spec/serviceAccountName");
            let own = children.iter().any(|it| it.kind == Kind::ServiceAccount && it.name == account);
            prop_assert_eq!(own, spec["serviceAccountName"].is_null());
            let migrates = items(template, "/spec/containers/0/args").any(|arg| arg.as_str().is_some_and(|arg| arg.contains("migrate") || arg.contains("run-")));
            prop_assert_eq!(migrates, child.kind == Kind::Job);
        }
        let api = children.iter().find(|child| child.kind == Kind::Deployment && child.name.ends_with("-api")).unwrap();
        is_aligned(api, number(&spec, "/requestTimeoutSeconds"), !spec["api"]["livenessProbe"].is_null());
    }
}
