//! Pods stop serving before proxies know that they end.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    timeouts::rules::{Rule, Verdict},
    validate::Change,
};

/// What its lack was seen to cost (tests/load).
const MEASURED: &str = "measured without preStop and with 150 requests a second: in each rolling restart about one request fails behind nginx, and 16 behind haproxy";

pub(super) fn check(running: &Running<'_>) -> Option<Diagnosis> {
    let values = &running.values;
    if Rule::EndpointsLeaveFirst.check(values) != Verdict::Broken {
        return None;
    }
    let pre_stop = values.pre_stop?;
    let mut evidence = vec![format!(
        "Deployment {}: {}, terminationGracePeriodSeconds {}",
        running.deployment,
        if pre_stop == 0 {
            "no preStop".to_owned()
        } else {
            format!("a preStop of {pre_stop} s")
        },
        values.grace_period
    )];
    // Nobody has chosen to have none.
    let severity = if pre_stop == 0 {
        evidence.push(MEASURED.to_owned());
        running.severity(&[])
    } else {
        Severity::Warning
    };
    let ours = running.ours();
    let reset = running.front.proxy().map_or("an error", |proxy| proxy.reset);
    Some(diagnosis(
        Code::PreStopTooShort,
        severity,
        Component::Api,
        format!(
            "A pod that is told to end stops serving at once, while proxies send it requests for some seconds more: at every rollout and scale-down clients see {reset}."
        ),
        evidence,
        running.set(
            &[],
            &[
                Change::PreStop(Component::Api, ours.pre_stop),
                Change::GracePeriod(Component::Api, ours.grace_period.max(values.grace_period)),
            ],
        ),
    ))
}
