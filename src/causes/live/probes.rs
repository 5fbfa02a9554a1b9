//! Pods whose probes fail, as the kubelet's Events tell.

use jiff::{SignedDuration, Timestamp};

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::probe_events::probe_events,
    flagsmith::startup,
    observe::{Observation, PodSummary},
    validate::Installation,
};

/// How long after a container was started again that is still told.
const RESTART_COUNTS: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn check(
    installation: &Installation,
    observation: &Observation,
    label: &str,
    component: Component,
) -> Option<Diagnosis> {
    let pods = || {
        observation
            .pods
            .iter()
            .filter(|pod| pod.component == label && !pod.terminating && !pod.ready)
    };
    let namespace = &installation.identity.namespace;
    pods().find_map(|pod| {
        let evidence = probe_events(observation, pod);
        let killed = evidence.iter().any(|line| line.contains("Liveness probe failed")) && killed(pod, observation.now);
        let slow = pod.containers.iter().any(|container| {
            container.running_since.is_some_and(|since| observation.now.duration_since(since) >= startup::ON_A_BUSY_NODE)
        });
        if evidence.is_empty() || !(killed || slow) {
            return None;
        }
        let name = &pod.name;
        Some(if killed {
            diagnosis(
                Code::LivenessProbeKilling,
                Severity::Critical,
                component,
                format!("The kubelet restarts the {} because its liveness probe fails.", component.as_str()),
                evidence,
                format!("See what kept it from answering: kubectl -n {namespace} logs {name} --previous. If it is only slow, add replicas, threads or CPU, or raise the failureThreshold of the component's probes."),
            )
        } else {
            diagnosis(
                Code::ProbeFailing,
                Severity::Critical,
                component,
                format!("A pod of the {} runs but does not answer its probes, so it gets no requests.", component.as_str()),
                evidence,
                format!("See what it says: kubectl -n {namespace} logs {name}; and what it answers: kubectl -n {namespace} exec {name} -- flagsmith healthcheck http /health/readiness/"),
            )
        })
    })
}

/// Whether a container was started again lately: whoever is ended by SIGTERM may do so with status 0.
fn killed(pod: &PodSummary, now: Timestamp) -> bool {
    let lately = |since: Timestamp| now.duration_since(since) < RESTART_COUNTS;
    pod.containers
        .iter()
        .any(|container| container.restarts > 0 && container.running_since.is_none_or(lately))
}
