//! An autoscaler and the manifest both set the number of pods.

use crate::{
    causes::{prelude::*, workloads::shared::deployments},
    observe::WorkloadState,
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    applies: Applies::Observed,
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("replicas_contested.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    deployments(context.observation)
        .filter_map(|(component, state)| contested(context, component, state))
        .collect()
}

/// An autoscaler, and a manifest that sets the number too.
fn contested(context: &Context<'_>, component: Component, state: &WorkloadState) -> Option<Draft> {
    if !context.observation.external_autoscalers.contains(&state.name) || state.replicas_set_by.is_empty() {
        return None;
    }
    // One pod is also what the API server makes of a manifest without a number, in the name of who applied it.
    let (severity, unsure) = if state.desired > 1 {
        (Severity::Warning, "")
    } else {
        (
            Severity::Info,
            " Where the manifest has no number any more nothing is left to do: this goes away when the autoscaler \
             decides the next time.",
        )
    };
    Some(Draft {
        code: Code::ReplicasContested,
        severity,
        component,
        message: format!(
            "An autoscaler and a manifest both set the number of pods of the {}: each upgrade or sync sets it back, \
             also in the middle of a peak.{unsure}",
            component.as_str()
        ),
        evidence: vec![
            format!("a HorizontalPodAutoscaler targets Deployment {}", state.name),
            format!(
                "spec.replicas of Deployment {} is set by {}",
                state.name,
                state.replicas_set_by.join(", ")
            ),
        ],
        remedy: context.installation.managed_by.change(&[Change::LeaveReplicas(component)]),
    })
}
