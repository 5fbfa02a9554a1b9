//! Who decides the number of pods.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::snippets::intend_no_pods,
    observe::{Observation, WorkloadState},
    validate::{Change, Installation},
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    [
        (Component::Api, &observation.api),
        (Component::TaskProcessor, &observation.task_processor),
        (Component::Frontend, &observation.frontend),
    ]
    .into_iter()
    .filter_map(|(component, state)| Some((component, state.as_ref()?)))
    .flat_map(|(component, state)| {
        let contested = contested(installation, observation, component, state);
        contested
            .into_iter()
            .chain(none_wanted(installation, component, state))
    })
    .collect()
}

/// An autoscaler, and a manifest that sets the number too.
fn contested(
    installation: &Installation,
    observation: &Observation,
    component: Component,
    state: &WorkloadState,
) -> Option<Diagnosis> {
    if !observation.external_autoscalers.contains(&state.name) || state.replicas_set_by.is_empty() {
        return None;
    }
    // One pod is also what the API server makes of a manifest without a number, in the name of who applied it.
    let (severity, unsure) = if state.desired > 1 {
        (Severity::Warning, "")
    } else {
        (
            Severity::Info,
            " Where the manifest has no number any more nothing is left to do: this goes away when the autoscaler decides the next time.",
        )
    };
    Some(diagnosis(
        Code::ReplicasContested,
        severity,
        component,
        format!(
            "An autoscaler and a manifest both set the number of pods of the {}: each upgrade or sync sets it back, also in the middle of a peak.{unsure}",
            component.as_str()
        ),
        vec![
            format!("a HorizontalPodAutoscaler targets Deployment {}", state.name),
            format!(
                "spec.replicas of Deployment {} is set by {}",
                state.name,
                state.replicas_set_by.join(", ")
            ),
        ],
        installation
            .managed_by
            .change(&[Change::LeaveReplicas(component)]),
    ))
}

/// No pods, and nobody said that this is intended. The task processor has a cause of its own.
fn none_wanted(
    installation: &Installation,
    component: Component,
    state: &WorkloadState,
) -> Option<Diagnosis> {
    if state.desired > 0 || state.resting || component == Component::TaskProcessor {
        return None;
    }
    Some(diagnosis(
        Code::ScaledToZero,
        if component == Component::Api {
            Severity::Critical
        } else {
            Severity::Warning
        },
        component,
        format!(
            "No pod of the {} is wanted, so nothing serves.",
            component.as_str()
        ),
        vec![format!("Deployment {}: spec.replicas is 0", state.name)],
        format!(
            "{}; or, if it is intended: {}",
            installation.managed_by.change(&[Change::Replicas(component, 1)]),
            intend_no_pods(&installation.identity.namespace, &state.name),
        ),
    ))
}
