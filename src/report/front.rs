//! The conditions about what stands in front of the pods: `TimeoutsAligned` and `ExposureReady`. Pure.

use super::{
    Context,
    conditions::{Verdict, critical, of, verdict},
    observed,
};
use crate::{
    model::{Code, Component},
    observe::ExposureState,
};

/// Causes that are a broken rule of the chain of timeouts.
const MISALIGNED: [Code; 4] = [
    Code::ProxyTimeoutBelowGunicorn,
    Code::KeepAliveBelowProxyIdle,
    Code::GraceBelowGracefulTimeout,
    Code::PreStopTooShort,
];

/// True only when what runs obeys the rules, which the diagnoses have checked.
pub(super) fn timeouts(context: Context<'_>) -> Verdict {
    let with = |codes: &[Code]| {
        context
            .diagnoses
            .iter()
            .find(|diagnosis| codes.contains(&diagnosis.code))
    };
    if let Some(diagnosis) = with(&MISALIGNED) {
        return of(diagnosis);
    }
    if !context.installation.managed_by.is_operator() {
        return observed::timeouts(context);
    }
    let chain = context.plan.timeouts;
    let ours = format!(
        "requests may take {} s: Gunicorn's timeout is {} s, its keep-alive {} s, pods get {} s to end",
        chain.request, chain.request, chain.keep_alive, chain.grace_period,
    );
    if let Some(diagnosis) = with(&[Code::ProxyNotChecked]) {
        let message = format!("{ours}. {}", diagnosis.message);
        return verdict("Unknown", diagnosis.code.as_str(), message);
    }
    let exposed = context.installation.exposure.is_none() || context.observation.exposure.is_some();
    if context.observation.api.is_none() || !exposed {
        return verdict("Unknown", "Creating", format!("nothing runs yet; {ours}"));
    }
    let proxy = chain
        .proxy
        .map(|proxy| format!(", {} waits {} s", proxy.name, chain.proxy_read))
        .unwrap_or_default();
    verdict("True", "Aligned", format!("{ours}{proxy}"))
}

pub(super) fn exposure(context: Context<'_>) -> Verdict {
    let Some(exposure) = &context.installation.exposure else {
        return verdict(
            "True",
            "NotWanted",
            "spec.exposure is not set; the Services are reachable inside of the cluster",
        );
    };
    if let Some(diagnosis) = critical(context, Component::Exposure) {
        return of(diagnosis);
    }
    let hosts = exposure.hosts.join(", ");
    let kind = if exposure.ingress.is_some() {
        "Ingress"
    } else {
        "HTTPRoute"
    };
    match &context.observation.exposure {
        Some(ExposureState::Accepted) => verdict("True", "Accepted", format!("the {kind} serves {hosts}")),
        Some(_) => verdict(
            "Unknown",
            "Waiting",
            format!("no controller has reported an address for the {kind} yet; some never do"),
        ),
        None => verdict("Unknown", "Creating", format!("the {kind} is being made")),
    }
}
