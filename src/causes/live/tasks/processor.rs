//! Nobody is there to run tasks: no pod is wanted, or none gets ready.

use jiff::SignedDuration;

use super::{
    super::{Code, Component, Diagnosis, Severity, diagnosis},
    phrasing, processors,
};
use crate::{
    causes::probes,
    observe::{Observation, WorkloadState, database::QueueProbe},
    validate::{Change, Installation, SCALED_TO_ZERO_ANNOTATION},
};

/// How long a pod may run without being ready: a start takes 5 to 15 seconds of CPU, three times that on a busy
/// node.
const START_TAKES: SignedDuration = SignedDuration::from_secs(60);

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let Some(state) = &observation.task_processor else {
        return Vec::new();
    };
    if installation.task_processor_replicas() == 0 {
        let intended = state.resting;
        return if intended {
            Vec::new()
        } else {
            vec![scaled_to_zero(installation, observation, state)]
        };
    }
    if state.desired > 0 && state.ready == 0 {
        return not_ready(installation, observation, &state.name)
            .into_iter()
            .collect();
    }
    Vec::new()
}

fn scaled_to_zero(
    installation: &Installation,
    observation: &Observation,
    state: &WorkloadState,
) -> Diagnosis {
    let tool = &installation.managed_by;
    let (set, hint) = if tool.is_operator() {
        ("spec.taskProcessor.replicas is 0".to_owned(), String::new())
    } else {
        (
            format!("Deployment {}: spec.replicas is 0", state.name),
            format!(
                " If it is intended: kubectl -n {} annotate deployment {} {SCALED_TO_ZERO_ANNOTATION}=intended",
                installation.identity.namespace, state.name
            ),
        )
    };
    let mut evidence = vec![set];
    evidence.extend(waiting(observation));
    diagnosis(
        Code::TaskProcessorScaledToZero,
        Severity::Warning,
        Component::TaskProcessor,
        "No task processor runs: webhooks, audit log, scheduled changes and clean-ups are queued and wait."
            .to_owned(),
        evidence,
        format!(
            "{}; the queue is then worked off.{hint}",
            tool.change(&[Change::Replicas(Component::TaskProcessor, 1)])
        ),
    )
}

/// What the pods themselves report is a diagnosis of its own; this is for those that run, report nothing and are
/// not ready all the same.
fn not_ready(installation: &Installation, observation: &Observation, name: &str) -> Option<Diagnosis> {
    let pods: Vec<_> = processors(observation)
        .into_iter()
        .filter(|pod| !pod.terminating)
        .collect();
    if pods.iter().any(|pod| !pod.problems.is_empty()) {
        return None;
    }
    let waits = |pod: &&&crate::observe::PodSummary| {
        pod.started
            .is_some_and(|started| observation.now.duration_since(started) > START_TAKES)
    };
    let pod = pods.iter().find(waits)?;
    let mut evidence = vec![format!(
        "pod {}: running for {}, not ready: its readiness probe fails",
        pod.name,
        phrasing::age(observation.now.duration_since(pod.started?)),
    )];
    evidence.extend(probes::said(observation, pod));
    if let (Some(QueueProbe::NotProbed | QueueProbe::Failed(_)), Some(database)) = (
        &observation.queues.separate,
        &observation.secrets.task_processor_database,
    ) && let crate::observe::SecretState::Present(database) = database
    {
        evidence.push(format!(
            "the separate database of tasks, {database}, cannot be read by the operator either"
        ));
    }
    evidence.extend(waiting(observation));
    let namespace = &installation.identity.namespace;
    Some(diagnosis(
        Code::TaskProcessorNotReady,
        Severity::Critical,
        Component::TaskProcessor,
        format!("No pod of Deployment {name} is ready, so nobody may be running tasks."),
        evidence,
        format!(
            "Flagsmith is ready when its database can be written to and has every migration of its release. See which of these checks fails: kubectl -n {namespace} exec {} -- python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/health/readiness/?format=json').read())\"; and what it logs: kubectl -n {namespace} logs {}",
            pod.name, pod.name,
        ),
    ))
}

/// How much waits, where the operator could read it.
fn waiting(observation: &Observation) -> Option<String> {
    let QueueProbe::Seen(queue) = observation
        .queues
        .separate
        .as_ref()
        .unwrap_or(&observation.queues.default)
    else {
        return None;
    };
    let oldest = queue.oldest_ready?;
    Some(format!(
        "database: {} ready, the oldest for {}",
        phrasing::tasks(queue.ready),
        phrasing::age(oldest)
    ))
}
