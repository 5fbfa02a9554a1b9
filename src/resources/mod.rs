//! The fifth step: the objects as they should be. Pure; one file for each kind of child.

mod api;
mod autoscaler;
mod backup;
mod container;
mod database;
mod disruption_budget;
mod frontend;
mod http_route;
mod ingress;
mod job;
mod pod;
mod route;
mod service;
mod service_account;
mod task_processor;
#[cfg(test)]
mod tests;

pub use database::{EMBEDDED_PASSWORD_KEY, EMBEDDED_ROLE, PORT as EMBEDDED_PORT};
use serde_json::{Map, Value, json};

use crate::model::Component;
use crate::{
    decide::Plan,
    model::child::{Child, Kind, marks},
    validate::{Database, Installation},
};

/// Builds every object of an installation, in the order in which they are applied.
#[must_use]
pub fn build(installation: &Installation, plan: &Plan) -> Vec<Child> {
    let mut children = vec![service::api(installation, plan)];
    if installation.service_account.is_none() {
        children.push(service_account::build(installation));
    }
    if let Database::Embedded { settings, url } = &installation.database {
        children.extend(database::build(installation, settings, url));
    }
    if let Some(migrate) = &plan.migrate {
        children.push(job::build(installation, migrate));
    }
    if let Some(backup) = &plan.backup {
        children.extend(backup::build(installation, backup));
    }
    if let Some(workload) = &plan.task_processor {
        children.push(task_processor::build(installation, plan, workload));
    }
    if let Some(workload) = &plan.api {
        children.push(api::build(installation, plan, workload));
        children.push(disruption_budget::build(installation, Component::Api));
        children.extend(autoscaler::build(
            installation,
            Component::Api,
            &installation.api_replicas(),
        ));
    }
    if installation.frontend.enabled {
        children.push(service::frontend(installation, plan));
        if let Some(workload) = &plan.frontend {
            children.push(frontend::build(installation, plan, workload));
            children.push(disruption_budget::build(installation, Component::Frontend));
            children.extend(autoscaler::build(
                installation,
                Component::Frontend,
                &installation.frontend_replicas(),
            ));
        }
    }
    if let Some(exposure) = &installation.exposure {
        children.extend(ingress::build(installation, plan, exposure));
        if plan.http_route {
            children.extend(http_route::build(installation, plan, exposure));
        }
    }
    children.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    children
}

/// A child with the metadata that every child has; nulls and empty collections are left out, so that the
/// operator owns only fields that it has an opinion on.
#[allow(
    clippy::needless_pass_by_value,
    reason = "callers hand over what they have just built"
)]
fn child(
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
            "annotations": annotations,
            "ownerReferences": [installation.owner()],
        },
    });
    if let (Some(body), Value::Object(rest)) = (body.as_object_mut(), rest) {
        body.extend(rest);
    }
    clean(&mut body);
    Child {
        kind,
        name: name.to_owned(),
        body,
    }
}

/// The annotations of a Deployment: what its release was migrated by.
fn workload_annotations(plan: &Plan) -> Map<String, Value> {
    plan.migrated
        .iter()
        .flat_map(|migrated| {
            [
                (marks::MIGRATION_KEY.to_owned(), json!(migrated.key)),
                (
                    marks::MIGRATED_VERSION.to_owned(),
                    json!(migrated.release.to_string()),
                ),
            ]
        })
        .collect()
}

/// The labels of a child.
fn labels(installation: &Installation, component: Option<Component>) -> Map<String, Value> {
    let mut labels = component.map_or_else(
        || Map::from_iter([(marks::INSTANCE.to_owned(), json!(installation.identity.name))]),
        |component| selector(installation, component),
    );
    labels.insert(marks::MANAGED_BY.to_owned(), json!(marks::OPERATOR));
    if let Some(component) = component {
        labels.insert(marks::COMPONENT.to_owned(), json!(component.as_str()));
    }
    labels
}

/// The labels that select the pods of a component. Unlike the official chart's they name the component in
/// `app.kubernetes.io/name`, so that its Services never select pods of the operator, or the other way round.
fn selector(installation: &Installation, component: Component) -> Map<String, Value> {
    Map::from_iter([
        (
            marks::NAME.to_owned(),
            json!(format!("flagsmith-{}", component.as_str())),
        ),
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
        "imagePullSecrets",
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
