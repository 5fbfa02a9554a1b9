//! `PodDisruptionBudgets` of what serves requests.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, json};

use super::child::{child, selector};
use crate::{
    api::DisruptionBudgetSpec,
    model::{
        Component,
        child::{Child, Kind},
    },
    validate::Installation,
};

/// One pod at a time may be evicted, unless the user says otherwise. Unlike `minAvailable` this never blocks the drain of
/// a node that carries the only pod.
pub(super) fn build(
    installation: &Installation,
    component: Component,
    spec: &DisruptionBudgetSpec,
) -> Option<Child> {
    let most = match (&spec.max_unavailable, &spec.min_available) {
        (None, None) => Some(IntOrString::Int(1)),
        (most, _) => most.clone(),
    };
    spec.enabled.then(|| {
        child(
            installation,
            Kind::PodDisruptionBudget,
            &installation.child(component.as_str()),
            Some(component),
            Map::new(),
            json!({ "spec": {
                "maxUnavailable": most,
                "minAvailable": spec.min_available,
                "selector": { "matchLabels": selector(installation, component) },
                "unhealthyPodEvictionPolicy": spec.unhealthy_pod_eviction_policy,
            } }),
        )
    })
}
