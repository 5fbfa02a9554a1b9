//! Pods stop serving before proxies know that they end.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    timeouts::rules::{ENDPOINTS_TAKE, Rule, Verdict},
    validate::Installation,
};

/// What is advised: twice what endpoints take.
const SLEEP: i32 = 2 * ENDPOINTS_TAKE;

pub(super) fn check(_: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
    let values = &running.values;
    if Rule::EndpointsLeaveFirst.check(values) != Verdict::Broken {
        return None;
    }
    let has = if values.pre_stop == 0 {
        "no preStop".to_owned()
    } else {
        format!("a preStop of {} s", values.pre_stop)
    };
    let reset = running.front.proxy().map_or("an error", |proxy| proxy.reset);
    Some(diagnosis(
        Code::PreStopTooShort,
        Severity::Warning,
        Component::Api,
        format!(
            "A pod that is told to end stops serving at once, while proxies send it requests for some seconds more: at every rollout and scale-down clients see {reset}."
        ),
        vec![format!(
            "Deployment {}: {has}, terminationGracePeriodSeconds {}",
            running.deployment, values.grace_period
        )],
        format!(
            "Let the container sleep before it ends: lifecycle.preStop.sleep.seconds: {SLEEP} and terminationGracePeriodSeconds: {}. In the official chart (0.80.0 and later): api.lifecycle and api.terminationGracePeriodSeconds.",
            SLEEP.saturating_add(values.graceful_timeout).saturating_add(5),
        ),
    ))
}
