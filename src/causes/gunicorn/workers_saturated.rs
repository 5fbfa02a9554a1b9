//! All worker threads are busy.

use super::shared::running::Running;
use crate::{causes::prelude::*, validate::Change};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::same_component(&[
        Code::LivenessProbeKilling,
        Code::ProbeFailing,
        Code::CrashLooping,
    ])],
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("workers_saturated.md"))
};

/// The part of the threads from which requests wait for one another, and the part below which they do not any more:
/// two, so that a load between them does not come and go.
const FULL: f64 = 0.85;
const RELIEVED: f64 = 0.7;

/// The part of the threads that may be busy so that a burst finds one free.
const COMFORTABLE: f64 = 0.6;

/// The most workers or pods that are advised: more is no advice that anyone can follow.
const MOST: f64 = 10_000.0;

fn check(context: &Context<'_>) -> Vec<Draft> {
    let found = context.running().and_then(|running| of(context, running));
    found.into_iter().collect()
}

fn of(context: &Context<'_>, running: &Running<'_>) -> Option<Draft> {
    let observation = context.observation;
    let busy = observation.busy?;
    let api = observation.api.as_ref()?;
    let (workers, threads) = running.gunicorn.workers.zip(running.gunicorn.threads)?;
    let capacity = f64::from(workers.saturating_mul(threads));
    let before =
        observation.previous.diagnoses.iter().any(|it| it.code == Code::GunicornWorkersSaturated.as_str());
    if busy.threads < capacity * if before { RELIEVED } else { FULL } {
        return None;
    }
    // What waits is not counted, so this is the least.
    let workers_needed = ceil(busy.threads * f64::from(api.desired) / COMFORTABLE / f64::from(threads));
    let pods = ceil(f64::from(workers_needed) / f64::from(workers)).max(api.desired.saturating_add(1));
    let more = context.installation.managed_by.change(&[Change::Replicas(Component::Api, pods)]);
    Some(Draft {
        message: "Nearly all threads of the API are busy: requests wait until one is free, and clients see latency, \
                  then 504."
            .to_owned(),
        evidence: vec![
            format!(
                "metrics of the pods (flagsmith_http_server_request_duration_seconds): about {} of {capacity} \
                 threads of a pod busy in the last half minute",
                busy.threads.min(capacity).round(),
            ),
            format!(
                "Deployment {}: pods × workers × threads, {} × {workers} × {threads}",
                running.deployment, api.desired
            ),
        ],
        remedy: format!(
            "At least {workers_needed} workers in all would do, in {pods} pods: {more}. Look at the database first: \
             if requests wait for it (pg_stat_activity), more workers make it slower."
        ),
        ..Code::GunicornWorkersSaturated.draft()
    })
}

fn ceil(number: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a number of pods or workers")]
    let whole = number.ceil().clamp(1.0, MOST) as i32;
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shared::testing::{check, codes, made};
    use crate::{
        fixtures::{installation, spec},
        model::Code,
        observe::{Observation, ThreadUsage},
        validate::Installation,
    };

    /// Two pods of three workers with two threads each, which are so busy.
    fn at_work(threads: f64) -> (Installation, Observation) {
        let installation = installation(&spec(json!({})));
        let mut observation = made(&installation, &|_| {});
        observation.busy = Some(ThreadUsage { threads, pods: 2 });
        (installation, observation)
    }

    #[test]
    fn threads_that_are_all_busy_are_named_with_what_would_do() {
        let (installation, observation) = at_work(5.6);
        let found = check(&installation, &observation);
        assert_eq!(codes(&found), [Code::GunicornWorkersSaturated]);
        let first = found.first().unwrap();
        assert!(first.evidence.iter().any(|it| it.contains("about 6 of 6 threads")), "{first:?}");
        // 11.2 busy threads, at most 60 % of all: ten workers of two threads, in pods of three.
        assert!(
            first.remedy.contains("At least 10 workers in all would do, in 4 pods: Set spec.api.replicas: 4"),
            "{first:?}"
        );
        let (installation, observation) = at_work(5.0);
        assert_eq!(check(&installation, &observation), []);
    }

    #[test]
    fn a_load_at_the_brink_does_not_come_and_go() {
        let (installation, mut observation) = at_work(4.8);
        assert_eq!(check(&installation, &observation), []);
        observation.previous.diagnoses = vec![crate::api::DiagnosisStatus {
            code: Code::GunicornWorkersSaturated.as_str().to_owned(),
            ..crate::api::DiagnosisStatus::default()
        }];
        assert_eq!(codes(&check(&installation, &observation)), [Code::GunicornWorkersSaturated]);
        observation.busy = Some(ThreadUsage { threads: 4.0, pods: 2 });
        assert_eq!(check(&installation, &observation), []);
    }
}
