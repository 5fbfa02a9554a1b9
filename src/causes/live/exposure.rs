//! Ingress and HTTPRoute.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::{ExposureState, Observation},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let exposure = installation.exposure.as_ref()?;
    if exposure.http_route.is_some() && !observation.http_route_api {
        return Some(diagnosis(
            Code::HttpRouteApiMissing,
            Severity::Critical,
            Component::Exposure,
            "An HTTPRoute is wanted, but the cluster does not have the Gateway API.".to_owned(),
            vec!["the API server does not serve httproutes.gateway.networking.k8s.io/v1".to_owned()],
            "Install the CRDs of the Gateway API (the operator finds them within half a minute), or use spec.exposure.ingress.".to_owned(),
        ));
    }
    let Some(ExposureState::Rejected(words)) = &observation.exposure else {
        return None;
    };
    Some(diagnosis(
        Code::RouteNotAccepted,
        Severity::Critical,
        Component::Exposure,
        "The Gateway does not accept the HTTPRoute, so no request arrives.".to_owned(),
        vec![format!("HTTPRoute {}: {words}", installation.identity.name)],
        "Correct spec.exposure.httpRoute.parentRefs and spec.exposure.hosts, or the listeners' allowedRoutes of the Gateway.".to_owned(),
    ))
}
