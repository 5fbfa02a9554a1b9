//! `HorizontalPodAutoscalers` that the specification asks for.

use serde_json::{Map, json};

use super::child::child;
use crate::{
    model::{
        Component,
        child::{Child, Kind},
    },
    validate::{Installation, Replicas},
};

pub(super) fn build(installation: &Installation, component: Component, replicas: &Replicas) -> Option<Child> {
    let Replicas::Autoscaled(spec) = replicas else {
        return None;
    };
    let name = installation.child(component.as_str());
    Some(child(
        installation,
        Kind::HorizontalPodAutoscaler,
        &name,
        Some(component),
        Map::new(),
        json!({ "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "minReplicas": spec.min_replicas,
            "maxReplicas": spec.max_replicas,
            "metrics": [{
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": { "type": "Utilization", "averageUtilization": spec.target_cpu_utilization_percentage },
                },
            }],
            "behavior": spec.behavior,
        } }),
    ))
}
