//! A component has no replicas.

use crate::{
    causes::{prelude::*, workloads::shared::deployments},
    observe::WorkloadState,
    validate::{Change, SCALED_TO_ZERO_ANNOTATION},
};

pub(crate) static CAUSE: Cause = Cause {
    applies: Applies::Observed,
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("scaled_to_zero.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    deployments(context.observation)
        .filter_map(|(component, state)| none_wanted(context, component, state))
        .collect()
}

/// No pods, and no annotation that says that this is intended. The task processor has a cause of its own.
fn none_wanted(context: &Context<'_>, component: Component, state: &WorkloadState) -> Option<Draft> {
    if state.desired > 0 || state.resting || component == Component::TaskProcessor {
        return None;
    }
    let installation = context.installation;
    Some(Draft {
        code: Code::ScaledToZero,
        severity: if component == Component::Api { Severity::Critical } else { Severity::Warning },
        component,
        message: format!("No pod of the {} is wanted, so nothing serves.", component.as_str()),
        evidence: vec![format!("Deployment {}: spec.replicas is 0", state.name)],
        remedy: format!(
            "{}; or, if it is intended: kubectl -n {} annotate deployment {} {SCALED_TO_ZERO_ANNOTATION}=intended",
            installation.managed_by.change(&[Change::Replicas(component, 1)]),
            installation.identity.namespace,
            state.name,
        ),
    })
}
