//! The liveness probe ends containers that are only busy.

use jiff::SignedDuration;

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::{Observation, ProbeKill},
    timeouts::liveness_failures,
    validate::{Change, Installation},
};

/// How long a container that was started again has to be up before its end may count as an incident that is over.
const RECOVERED: SignedDuration = SignedDuration::from_mins(2);

/// `timeoutSeconds` that a busy worker can keep.
const TIMEOUT: i32 = 5;

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    [
        (Component::Api, "api"),
        (Component::TaskProcessor, "task-processor"),
    ]
    .into_iter()
    .filter_map(|(component, label)| of(installation, observation, component, label))
    .collect()
}

fn of(
    installation: &Installation,
    observation: &Observation,
    component: Component,
    label: &str,
) -> Option<Diagnosis> {
    let kills: Vec<_> = observation
        .probe_kills
        .iter()
        .filter(|kill| kill.component == label)
        .collect();
    kills.first()?;
    let workload = match component {
        Component::Api => observation.api.as_ref(),
        _ => observation.task_processor.as_ref(),
    };
    let liveness = workload
        .and_then(|workload| workload.serving.as_ref())
        .and_then(|serving| serving.liveness.as_ref());
    let mut evidence: Vec<String> = kills
        .iter()
        .take(3)
        .map(|kill| {
            format!(
                "pod {}: {}; its container was ended for that (exit status {}) and started again",
                kill.pod,
                crate::model::redact::redact(&kill.probe),
                kill.exit_code,
            )
        })
        .collect();
    evidence.extend(liveness.map(|probe| {
        format!(
            "the probe waits {} s for an answer and gives up after {} s without one",
            probe.timeout, probe.patience,
        )
    }));
    let field = if component == Component::Api {
        "api"
    } else {
        "taskProcessor"
    };
    let own = match component {
        Component::Api => installation.api.container.liveness_probe.is_some(),
        _ => installation.task_processor.container.liveness_probe.is_some(),
    };
    let probe = if own {
        format!(
            "remove spec.{field}.livenessProbe (the operator's own is patient enough for the longest request)"
        )
    } else {
        let failures = liveness_failures(installation.request_timeout);
        format!(
            "let the probe outlast the longest request: {}",
            installation
                .managed_by
                .change(&[Change::Liveness(component, TIMEOUT, failures)])
        )
    };
    let over = kills.iter().all(|kill| recovered(observation, kill));
    Some(diagnosis(
        Code::LivenessProbeKilling,
        if over { Severity::Info } else { Severity::Warning },
        component,
        format!(
            "The kubelet restarts pods of the {} because they do not answer their liveness probe in time: every thread is busy or the processor is short. Requests that run are cut.",
            component.as_str(),
        ),
        evidence,
        format!(
            "Find what keeps it busy (slow queries: pg_stat_activity; CPU limit), add pods or threads, and {probe}."
        ),
    ))
}

/// Whether a pod was ended once and is well since: a database that was away does that to every pod, and is over. What
/// comes again is a pattern.
fn recovered(observation: &Observation, kill: &ProbeKill) -> bool {
    kill.restarts <= 1
        && observation.pods.iter().any(|pod| {
            let up = pod.started.map(|started| observation.now.duration_since(started));
            pod.name == kill.pod && pod.ready && up.is_some_and(|up| up >= RECOVERED)
        })
}
