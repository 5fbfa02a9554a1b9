//! A Gateway does not accept the HTTPRoute.

use crate::{causes::prelude::*, observe::ExposureState};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    check: Some(check),
    ..Cause::critical(Component::Exposure, include_str!("route_not_accepted.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    if context.installation.exposure.is_none() {
        return Vec::new();
    }
    let Some(ExposureState::Rejected(words)) = &context.observation.exposure else {
        return Vec::new();
    };
    vec![Draft {
        message: "The Gateway does not accept the HTTPRoute, so no request arrives.".to_owned(),
        evidence: vec![format!("HTTPRoute {}: {words}", context.installation.identity.name)],
        remedy: "Correct spec.exposure.httpRoute.parentRefs and spec.exposure.hosts, or the listeners' \
                 allowedRoutes of the Gateway."
            .to_owned(),
        ..Code::RouteNotAccepted.draft()
    }]
}
