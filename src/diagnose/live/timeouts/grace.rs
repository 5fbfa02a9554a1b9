//! Pods are killed before their requests have ended.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    timeouts::rules::{Rule, Verdict},
    validate::Installation,
};

pub(super) fn check(_: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
    let values = &running.values;
    let killed = Rule::GraceOutlastsShutdown.check(values) == Verdict::Broken;
    let cut = Rule::GracefulOutlastsRequest.check(values) == Verdict::Broken;
    if !killed && !cut {
        return None;
    }
    let graceful = values.graceful_timeout.max(values.gunicorn_timeout);
    let grace = values.pre_stop.saturating_add(graceful).saturating_add(5);
    let message = if killed {
        format!(
            "A pod that is told to end is killed after {} s, but preStop ({} s) and Gunicorn's graceful timeout ({} s) need {} s: requests that run at the end are cut at every rollout.",
            values.grace_period,
            values.pre_stop,
            values.graceful_timeout,
            values.pre_stop.saturating_add(values.graceful_timeout),
        )
    } else {
        format!(
            "A request may take {} s, but Gunicorn gives requests only {} s when a pod is told to end: longer ones are cut at every rollout.",
            values.gunicorn_timeout, values.graceful_timeout,
        )
    };
    Some(diagnosis(
        Code::GraceBelowGracefulTimeout,
        Severity::Warning,
        Component::Api,
        message,
        vec![format!(
            "Deployment {}: terminationGracePeriodSeconds {}, preStop {} s, --timeout {}, --graceful-timeout {}",
            running.deployment,
            values.grace_period,
            values.pre_stop,
            values.gunicorn_timeout,
            values.graceful_timeout,
        )],
        format!(
            "Set terminationGracePeriodSeconds: {grace} and --graceful-timeout {graceful} (before the sub-command). In the official chart: api.terminationGracePeriodSeconds and api.args."
        ),
    ))
}
