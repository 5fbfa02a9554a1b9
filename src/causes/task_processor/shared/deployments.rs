//! The Deployments of an installation that the operator does not make itself.

use crate::{
    causes::context::Context,
    flagsmith::env,
    model::Component,
    observe::{ContainerState, Observation, WorkloadState},
};

/// The Deployments of API and task processor as their owner has set them up: for checks of observed installations. The
/// operator's own are always set up alike; they differ only for the moment of a change.
pub(crate) struct Deployments<'a> {
    /// The API.
    pub(crate) api: &'a WorkloadState,
    /// The API's container.
    container: &'a ContainerState,
    /// The task processor and its container, where there is one.
    pub(crate) processor: Option<(&'a WorkloadState, &'a ContainerState)>,
}

impl<'a> Deployments<'a> {
    /// The Deployments; `None` where a container is not known.
    pub(crate) fn of(context: &Context<'a>) -> Option<Self> {
        let observation = context.observation;
        let api = observation.api.as_ref()?;
        let processor = match &observation.task_processor {
            Some(state) => Some((state, state.container()?)),
            None => None,
        };
        Some(Self { api, container: api.container()?, processor })
    }

    /// How the API runs its tasks: `None` where a Secret behind `envFrom` may say.
    pub(crate) fn run_method(&self) -> Option<&'a str> {
        let environment = &self.container.environment;
        match environment.value(env::TASK_RUN_METHOD) {
            None if environment.lacks(env::TASK_RUN_METHOD) => Some(""),
            value => value,
        }
    }

    /// That as evidence.
    pub(crate) fn told(&self, method: &str) -> String {
        let set = if method.is_empty() {
            "TASK_RUN_METHOD is not set, which means SEPARATE_THREAD".to_owned()
        } else {
            format!("TASK_RUN_METHOD is {method}")
        };
        format!("Deployment {}: {set}", self.api.name)
    }
}

/// Whether a pod of the two has never run: whether its release even has an image is not known yet, and which release
/// both should have neither.
pub(crate) fn is_starting(observation: &Observation) -> bool {
    observation.pods.iter().any(|pod| {
        matches!(pod.component, Some(Component::Api | Component::TaskProcessor))
            && !pod.terminating
            && pod.started.is_none()
            && pod.containers.iter().all(|container| container.restarts == 0)
    })
}
