//! Whether the Ingress or HTTPRoute is served.

use crate::{
    model::Component,
    observe::ExposureState,
    report::{
        condition::{
            ConditionStatus::{True, Unknown},
            Verdict,
        },
        context::Context,
    },
};

pub(super) fn exposure(context: Context<'_>) -> Verdict {
    let installation = context.installation;
    if installation.entrances().next().is_none() {
        return Verdict::new(
            True,
            "NotWanted",
            "spec.exposure is not set; the Services are reachable inside of the cluster",
        );
    }
    if let Some(diagnosis) = context.critical(Component::Exposure) {
        return Verdict::of(diagnosis);
    }
    let mut served = Vec::new();
    for (entrance, state) in context.observation.entrances(installation) {
        let kind = entrance.kind();
        match state {
            Some(ExposureState::Accepted) => {
                served.push(format!("the {kind} serves {}", entrance.hosts.join(", ")));
            }
            Some(_) => {
                return Verdict::new(
                    Unknown,
                    "Waiting",
                    format!("no controller has reported an address for the {kind} yet; some never do"),
                );
            }
            None => return Verdict::new(Unknown, "Creating", format!("the {kind} is being made")),
        }
    }
    Verdict::new(True, "Accepted", served.join("; "))
}
