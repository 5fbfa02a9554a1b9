//! A Gateway does not accept the HTTPRoute.

use crate::{causes::prelude::*, observe::ExposureState};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    check: Some(check),
    ..Cause::critical(Component::Exposure, include_str!("route_not_accepted.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let refused = observation.entrances(installation).filter_map(|(entrance, state)| match state {
        Some(ExposureState::Rejected(words)) => Some((entrance, words)),
        _ => None,
    });
    refused
        .map(|(entrance, words)| Draft {
            message: "The Gateway does not accept the HTTPRoute, so no request arrives.".to_owned(),
            evidence: vec![format!("HTTPRoute {}: {words}", entrance.name(&installation.identity))],
            remedy: format!(
                "Correct {0}.httpRoute.parentRefs and {0}.hosts, or the listeners' allowedRoutes of the Gateway.",
                entrance.field
            ),
            ..Code::RouteNotAccepted.draft()
        })
        .collect()
}
