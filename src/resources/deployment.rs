//! The Deployment of a component.

use serde_json::{Value, json};

use super::{
    child::{child, selector, workload_annotations},
    pod::Template,
};
use crate::{
    decide::Plan,
    model::child::{Child, Kind},
    validate::Installation,
};

/// Builds the Deployment of these pods; `strategy` is how they are exchanged.
pub(super) fn build(
    installation: &Installation,
    plan: &Plan,
    replicas: Option<i32>,
    template: Template<'_>,
    strategy: &Value,
) -> Child {
    let component = template.component;
    child(
        installation,
        Kind::Deployment,
        &installation.child(component.as_str()),
        Some(component),
        workload_annotations(plan),
        json!({ "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": selector(installation, component) },
            "strategy": strategy,
            "template": template.build(installation),
        } }),
    )
}

/// A new pod is ready before an old one goes, so that no request is refused while pods are exchanged.
pub(super) fn rolling() -> Value {
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } })
}
