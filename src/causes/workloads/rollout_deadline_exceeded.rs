//! New pods do not become ready.

use crate::causes::{prelude::*, workloads::shared::deployments};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("rollout_deadline_exceeded.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let namespace = &context.installation.identity.namespace;
    deployments(context.observation)
        .filter_map(|(component, state)| {
            let words = state.stalled.as_ref()?;
            Some(Draft {
                code: Code::RolloutDeadlineExceeded,
                severity: Severity::Critical,
                component,
                message: format!(
                    "The pods of the {} do not become ready: {} of {} are.",
                    component.as_str(),
                    state.ready,
                    state.desired
                ),
                evidence: vec![format!("Deployment {}: {words}", state.name)],
                remedy: format!(
                    "See why the newest pod is not ready: kubectl -n {namespace} describe pods -l {}",
                    state.selector,
                ),
            })
        })
        .collect()
}
