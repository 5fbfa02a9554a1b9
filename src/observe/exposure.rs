//! Whether somebody serves the Ingress or the HTTPRoute.

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::Value;

/// What a proxy made of the Ingress or HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExposureState {
    /// It has an address, or a Gateway accepted it.
    Accepted,
    /// No controller has taken it up.
    Waiting,
    /// A Gateway refused it, with its own words.
    Rejected(String),
}

/// An Ingress is served when a controller has given it an address.
pub(super) fn ingress_state(ingress: &Ingress) -> ExposureState {
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let addresses = balancer.and_then(|balancer| balancer.ingress.as_ref());
    if addresses.is_some_and(|addresses| !addresses.is_empty()) {
        ExposureState::Accepted
    } else {
        ExposureState::Waiting
    }
}

/// An HTTPRoute is accepted when every Gateway that answered says so (condition Accepted of each parent).
pub(super) fn route_state(route: &Value) -> ExposureState {
    let parents = route.pointer("/status/parents").and_then(Value::as_array);
    let conditions: Vec<&Value> = parents
        .into_iter()
        .flatten()
        .filter_map(|parent| parent["conditions"].as_array())
        .flatten()
        .filter(|condition| condition["type"] == "Accepted")
        .collect();
    match conditions.iter().find(|condition| condition["status"] == "False") {
        Some(refusal) => {
            let text = |key: &str| refusal[key].as_str().unwrap_or_default().to_owned();
            ExposureState::Rejected(format!("{}: {}", text("reason"), text("message")))
        }
        None if conditions.is_empty() => ExposureState::Waiting,
        None => ExposureState::Accepted,
    }
}
