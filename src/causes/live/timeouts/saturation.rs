//! All threads are busy.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    observe::Observation,
    validate::{Change, Installation},
};

/// The part of the threads from which requests wait for one another, and the part below which they do not any more:
/// two, so that a load between them does not come and go.
const FULL: f64 = 0.85;
const RELIEVED: f64 = 0.7;

/// The part of the threads that may be busy so that a burst finds one free.
const COMFORTABLE: f64 = 0.6;

pub(super) fn check(
    installation: &Installation,
    observation: &Observation,
    running: &Running<'_>,
) -> Option<Diagnosis> {
    let busy = observation.busy?;
    let api = observation.api.as_ref()?;
    let (workers, threads) = running.gunicorn.workers.zip(running.gunicorn.threads)?;
    let capacity = f64::from(workers.saturating_mul(threads));
    let known = observation.previous.diagnoses.iter();
    let before = known
        .clone()
        .any(|it| it.code == Code::GunicornWorkersSaturated.as_str());
    if busy.threads < capacity * if before { RELIEVED } else { FULL } {
        return None;
    }
    // What waits is not counted, so this is the least.
    let workers_needed = ceil(busy.threads * f64::from(api.desired) / COMFORTABLE / f64::from(threads));
    let pods = ceil(f64::from(workers_needed) / f64::from(workers)).max(api.desired.saturating_add(1));
    let more = installation
        .managed_by
        .change(&[Change::Replicas(Component::Api, pods)]);
    Some(diagnosis(
        Code::GunicornWorkersSaturated,
        Severity::Warning,
        Component::Api,
        "Nearly all threads of the API are busy: requests wait until one is free, and clients see latency, then 504."
            .to_owned(),
        vec![
            format!(
                "metrics of the pods (flagsmith_http_server_request_duration_seconds): about {} of {capacity} threads of a pod busy in the last half minute",
                busy.threads.min(capacity).round(),
            ),
            format!(
                "Deployment {}: pods × workers × threads, {} × {workers} × {threads}",
                running.deployment, api.desired
            ),
        ],
        format!(
            "At least {workers_needed} workers in all would do, in {pods} pods: {more}. Look at the database first: if requests wait for it (pg_stat_activity), more workers make it slower."
        ),
    ))
}

fn ceil(number: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a number of pods or workers")]
    let whole = number.ceil().clamp(1.0, 10_000.0) as i32;
    whole
}
