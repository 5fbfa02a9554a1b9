//! What is stored in a namespace, without what differs from run to run.

use std::collections::BTreeMap;

use flagsmith_operator::model::child::Kind;
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use super::Sandbox;

/// Every object by kind and name.
pub type Store = BTreeMap<String, Value>;

/// Keys whose values differ between runs that end in the same state: identities, times, hashes of random values.
const VOLATILE: &[&str] = &[
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "managedFields",
    "generation",
    "clusterIP",
    "clusterIPs",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "startTime",
    "completionTime",
    "started",
    "finished",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "operator.flagsmith.com/applied-hash",
    "operator.flagsmith.com/secret-hash",
    "operator.flagsmith.com/credentials-hash",
    "data",
];

impl Sandbox {
    /// Everything that the operator writes, and all Secrets.
    pub async fn store(&self) -> Store {
        let resource = |group: &str, version: &str, kind: &str, plural: &str| {
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
        };
        let kinds = Kind::ALL.into_iter().filter(|kind| !kind.is_optional()).map(Kind::api_resource).chain([
            resource("", "v1", "Secret", "secrets"),
            resource("operator.flagsmith.com", "v1alpha1", "FlagsmithDeployment", "flagsmithdeployments"),
        ]);
        let mut store = Store::new();
        for kind in kinds {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
            for object in api.list(&kube::api::ListParams::default()).await.unwrap() {
                let name = object.metadata.name.clone().unwrap();
                // Kubernetes makes it a moment after the namespace.
                if kind.kind == "ServiceAccount" && name == "default" {
                    continue;
                }
                let mut value = serde_json::to_value(object).unwrap();
                if kind.group != "operator.flagsmith.com" {
                    // Its own controller's: names of ReplicaSets, and the course that a rollout took.
                    value["status"] = json!("…");
                }
                blank(&mut value, &self.namespace);
                store.insert(format!("{} {name}", kind.kind), value);
            }
        }
        store
    }
}

fn blank(value: &mut Value, namespace: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if VOLATILE.contains(&key.as_str()) {
                    *value = json!("…");
                } else {
                    blank(value, namespace);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| blank(item, namespace)),
        Value::String(text) => *text = text.replace(namespace, "NAMESPACE"),
        _ => {}
    }
}

/// The first differences of two stores, for a person; empty when they are equal.
pub fn difference(expected: &Store, found: &Store) -> Vec<String> {
    let mut differences = Vec::new();
    for name in expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name))) {
        match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) => compare(name, expected, found, &mut differences),
            (Some(_), None) => differences.push(format!("{name} is missing")),
            (None, _) => differences.push(format!("{name} should not be there")),
        }
    }
    differences
}

fn compare(at: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for key in expected.keys().chain(found.keys().filter(|key| !expected.contains_key(*key))) {
                let null = Value::Null;
                compare(
                    &format!("{at}.{key}"),
                    expected.get(key).unwrap_or(&null),
                    found.get(key).unwrap_or(&null),
                    differences,
                );
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{at}[{index}]"), expected, found, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("{at}: expected {expected}, found {found}")),
    }
}
