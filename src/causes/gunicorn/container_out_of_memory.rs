//! A container was killed for lack of memory.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
        pods,
    },
    model::{Code, Component, Diagnosis, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::GunicornWorkerOutOfMemory, Code::GunicornWorkerKilled]),
    ],
    check: Some(check),
    ..Cause::new(include_str!("container_out_of_memory.md"))
};

fn check(context: &Context<'_>) -> Vec<Diagnosis> {
    pods::diagnoses(context, pods::SERVING, |trouble| {
        pods::out_of_memory(trouble, Code::ContainerOutOfMemory)
    })
}
