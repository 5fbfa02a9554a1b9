//! What every child has: metadata, owner, labels.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    decide::Plan,
    model::{
        Component,
        child::{Child, Kind, marks},
    },
    validate::Installation,
};

/// A child with the metadata that every child has; nulls and empty collections are left out, so that the
/// operator owns only fields that it has an opinion on.
#[allow(clippy::needless_pass_by_value, reason = "callers hand over what they have just built")]
pub(super) fn child(
    installation: &Installation,
    kind: Kind,
    name: &str,
    component: Option<Component>,
    annotations: Map<String, Value>,
    rest: Value,
) -> Child {
    let resource = kind.api_resource();
    let mut body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": installation.identity.namespace,
            "labels": labels(installation, component),
            "annotations": with_common(&installation.common_annotations, annotations),
            "ownerReferences": [installation.owner()],
        },
    });
    if let (Some(body), Value::Object(rest)) = (body.as_object_mut(), rest) {
        body.extend(rest);
    }
    clean(&mut body);
    Child { kind, name: name.to_owned(), component, body }
}

/// The annotations of a Deployment: what its release was migrated by.
pub(super) fn workload_annotations(plan: &Plan) -> Map<String, Value> {
    plan.migrated
        .iter()
        .flat_map(|migrated| {
            [
                (marks::MIGRATION_KEY.to_owned(), json!(migrated.key)),
                (marks::MIGRATED_VERSION.to_owned(), json!(migrated.release.to_string())),
            ]
        })
        .collect()
}

/// The labels of a child.
pub(super) fn labels(installation: &Installation, component: Option<Component>) -> Map<String, Value> {
    let mut labels = component.map_or_else(
        || Map::from_iter([(marks::INSTANCE.to_owned(), json!(installation.identity.name))]),
        |component| selector(installation, component),
    );
    labels.insert(marks::MANAGED_BY.to_owned(), json!(marks::OPERATOR));
    if let Some(component) = component {
        labels.insert(marks::COMPONENT.to_owned(), json!(component.as_str()));
    }
    with_common(&installation.common_labels, labels)
}

/// What the user wants on every object; an object's own wins.
pub(super) fn with_common(common: &BTreeMap<String, String>, own: Map<String, Value>) -> Map<String, Value> {
    let mut all: Map<String, Value> = common.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    all.extend(own);
    all
}

/// The labels that select the pods of a component. Unlike the official chart's they name the component in
/// `app.kubernetes.io/name`, so that its Services never select pods of the operator, or the other way round.
pub(super) fn selector(installation: &Installation, component: Component) -> Map<String, Value> {
    Map::from_iter([
        (marks::NAME.to_owned(), json!(format!("flagsmith-{}", component.as_str()))),
        (marks::INSTANCE.to_owned(), json!(installation.identity.name)),
    ])
}

/// Removes nulls and, in maps that are ours to shape, empty maps and lists. An `emptyDir: {}` or a
/// `resources: {}` means something, so only the keys listed here lose their empty values.
fn clean(value: &mut Value) {
    const DROPPED_WHEN_EMPTY: &[&str] = &[
        "annotations",
        "env",
        "envFrom",
        "hostAliases",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "tolerations",
        "topologySpreadConstraints",
        "volumeMounts",
        "volumes",
        "resources",
    ];
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                clean(value);
                let empty = match value {
                    Value::Null => return false,
                    Value::Object(map) => map.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    _ => false,
                };
                !(empty && DROPPED_WHEN_EMPTY.contains(&key.as_str()))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}
