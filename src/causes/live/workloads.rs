//! Deployments whose pods cannot be made or do not become ready.

use super::{Code, Component, Diagnosis, Severity, diagnosis, pods};
use crate::{
    observe::{Observation, WorkloadState},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = pods::check(installation, observation, "database", Component::Database);
    for (label, component, state) in [
        (
            "task-processor",
            Component::TaskProcessor,
            &observation.task_processor,
        ),
        ("api", Component::Api, &observation.api),
        ("frontend", Component::Frontend, &observation.frontend),
    ] {
        let problems = pods::check(installation, observation, label, component);
        let explained = !problems.is_empty();
        found.extend(problems);
        let Some(state) = state else { continue };
        found.extend(replica_failure(state, component));
        if !explained {
            found.extend(stalled(installation, state, component));
        }
    }
    found
}

fn replica_failure(state: &WorkloadState, component: Component) -> Option<Diagnosis> {
    let words = state.replica_failure.as_ref()?;
    let quota = words.contains("exceeded quota");
    Some(diagnosis(
        if quota {
            Code::QuotaExceeded
        } else {
            Code::AdmissionDenied
        },
        Severity::Critical,
        component,
        format!("Kubernetes refuses to create pods of the {}.", component.as_str()),
        vec![format!("Deployment {}: {words}", state.name)],
        if quota {
            "Raise the ResourceQuota of the namespace, or lower replicas or resources.requests.".to_owned()
        } else {
            "Change what the admission rule objects to (pod or container settings of this component), or the rule.".to_owned()
        },
    ))
}

fn stalled(installation: &Installation, state: &WorkloadState, component: Component) -> Option<Diagnosis> {
    let words = state.stalled.as_ref()?;
    let namespace = &installation.identity.namespace;
    Some(diagnosis(
        Code::RolloutDeadlineExceeded,
        Severity::Critical,
        component,
        format!(
            "The pods of the {} do not become ready: {} of {} are.",
            component.as_str(),
            state.ready,
            state.desired
        ),
        vec![format!("Deployment {}: {words}", state.name)],
        format!(
            "See why the newest pod is not ready: kubectl -n {namespace} describe pods -l {}",
            state.selector,
        ),
    ))
}
