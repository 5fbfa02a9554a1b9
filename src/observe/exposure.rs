//! Whether somebody serves the Ingress or the HTTPRoute.

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::Value;

use super::{ExposureState, children::Children};
use crate::{model::child::Kind, validate::Installation};

/// How the wanted one stands; `None` where none is wanted, or it is not there yet.
pub(super) fn state(children: &Children<'_>, installation: &Installation) -> Option<ExposureState> {
    let exposure = installation.exposure.as_ref()?;
    let name = &installation.identity.name;
    if exposure.ingress.is_some() {
        return children
            .owned(Kind::Ingress, name)
            .map(|ingress| ingress_state(&ingress));
    }
    children
        .owned(Kind::HttpRoute, name)
        .map(|route| route_state(&route))
}

/// An Ingress is served when a controller has given it an address.
pub(super) fn ingress_state(ingress: &Ingress) -> ExposureState {
    let balancer = ingress
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
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
