//! What several causes of workloads share.

use crate::{
    causes::context::Context,
    model::{Code, Component, Draft, Severity},
    observe::{Observation, WorkloadState},
};

/// The Deployments that there are, with their components.
pub(crate) fn deployments(observation: &Observation) -> impl Iterator<Item = (Component, &WorkloadState)> {
    [
        (Component::TaskProcessor, &observation.task_processor),
        (Component::Api, &observation.api),
        (Component::Frontend, &observation.frontend),
        (Component::EdgeProxy, &observation.edge_proxy),
    ]
    .into_iter()
    .filter_map(|(component, state)| Some((component, state.as_ref()?)))
}

/// Deployments whose pods the API server refuses to create, in words that `is` recognises.
pub(crate) fn replica_failures(
    context: &Context<'_>,
    code: Code,
    is: fn(&str) -> bool,
    remedy: &str,
) -> Vec<Draft> {
    deployments(context.observation)
        .filter_map(|(component, state)| {
            let words = state.replica_failure.as_ref().filter(|words| is(words))?;
            Some(Draft {
                code,
                severity: Severity::Critical,
                component,
                message: format!("Kubernetes refuses to create pods of the {}.", component.as_str()),
                evidence: vec![format!("Deployment {}: {words}", state.name)],
                remedy: remedy.to_owned(),
            })
        })
        .collect()
}
