//! The cluster has no HTTPRoute.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::critical(Component::Exposure, include_str!("http_route_api_missing.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let wanted = context.installation.entrances().any(|entrance| entrance.http_route.is_some());
    if !wanted || context.observation.http_route_api {
        return Vec::new();
    }
    vec![Draft {
        message: "An HTTPRoute is wanted, but the cluster does not have the Gateway API.".to_owned(),
        evidence: vec!["the API server does not serve httproutes.gateway.networking.k8s.io/v1".to_owned()],
        remedy: "Install the CRDs of the Gateway API (the operator finds them within half a minute), \
                 or use spec.exposure.ingress."
            .to_owned(),
        ..Code::HttpRouteApiMissing.draft()
    }]
}
