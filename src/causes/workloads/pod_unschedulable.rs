//! A pod finds no node.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
        pods,
    },
    model::{Code, Component, Draft, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
    ],
    check: Some(check),
    ..Cause::new(include_str!("pod_unschedulable.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, |trouble| {
        pods::unschedulable(trouble, Code::PodUnschedulable)
    })
}
