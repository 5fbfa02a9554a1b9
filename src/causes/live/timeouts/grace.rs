//! Pods are killed before their requests have ended.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis, seconds};
use crate::{
    timeouts::rules::{Rule, Verdict},
    validate::Change,
};

/// What the grace period has above preStop and graceful timeout.
const MARGIN: i32 = 5;

pub(super) fn check(running: &Running<'_>) -> Option<Diagnosis> {
    let values = &running.values;
    let killed = Rule::GraceOutlastsShutdown.check(values) == Verdict::Broken;
    let cut = Rule::GracefulOutlastsRequest.check(values) == Verdict::Broken;
    if !killed && !cut {
        return None;
    }
    let pre_stop = values.pre_stop.unwrap_or_default();
    let graceful = values.graceful_timeout?;
    let needed = graceful.max(values.gunicorn_timeout.unwrap_or_default());
    let grace = pre_stop.saturating_add(needed).saturating_add(MARGIN);
    let message = if killed {
        format!(
            "A pod that is told to end is killed after {} s, but preStop ({pre_stop} s) and Gunicorn's graceful timeout ({graceful} s) need {} s: requests that run at the end are cut at every rollout.",
            values.grace_period,
            pre_stop.saturating_add(graceful),
        )
    } else {
        format!(
            "A request may take {}, but Gunicorn gives requests only {graceful} s when a pod is told to end: longer ones are cut at every rollout.",
            seconds(values.gunicorn_timeout),
        )
    };
    let longer: &[(&str, i32)] = if cut {
        &[("--graceful-timeout", needed)]
    } else {
        &[]
    };
    Some(diagnosis(
        Code::GraceBelowGracefulTimeout,
        Severity::Warning,
        Component::Api,
        message,
        vec![format!(
            "Deployment {}: terminationGracePeriodSeconds {}, preStop {}, --timeout {}, --graceful-timeout {graceful} s",
            running.deployment,
            values.grace_period,
            seconds(values.pre_stop),
            seconds(values.gunicorn_timeout),
        )],
        running.set(longer, &[Change::GracePeriod(Component::Api, grace)]),
    ))
}
