//! `PodDisruptionBudgets` of what serves requests.

use serde_json::{Map, json};

use super::child::{child, selector};
use crate::{
    model::{
        Component,
        child::{Child, Kind},
    },
    validate::Installation,
};

/// One pod at a time may be evicted. Unlike `minAvailable` this never blocks the drain of a node that carries
/// the only pod.
pub(super) fn build(installation: &Installation, component: Component) -> Child {
    child(
        installation,
        Kind::PodDisruptionBudget,
        &installation.child(component.as_str()),
        Some(component),
        Map::new(),
        json!({ "spec": {
            "maxUnavailable": 1,
            "selector": { "matchLabels": selector(installation, component) },
            // A pod that is not ready serves nobody; keeping it would only block the drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        } }),
    )
}
