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
    let Some(exposure) = &context.installation.exposure else {
        return Verdict::new(
            True,
            "NotWanted",
            "spec.exposure is not set; the Services are reachable inside of the cluster",
        );
    };
    if let Some(diagnosis) = context.critical(Component::Exposure) {
        return Verdict::of(diagnosis);
    }
    let hosts = exposure.hosts.join(", ");
    let kind = if exposure.ingress.is_some() { "Ingress" } else { "HTTPRoute" };
    match &context.observation.exposure {
        Some(ExposureState::Accepted) => Verdict::new(True, "Accepted", format!("the {kind} serves {hosts}")),
        Some(_) => Verdict::new(
            Unknown,
            "Waiting",
            format!("no controller has reported an address for the {kind} yet; some never do"),
        ),
        None => Verdict::new(Unknown, "Creating", format!("the {kind} is being made")),
    }
}
