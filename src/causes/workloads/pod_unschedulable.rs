//! A pod finds no node.

use crate::{causes::{cause::{Cause, Explains}, consequences}, model::{Code, Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
    ],
    ..Cause::new(include_str!("pod_unschedulable.md"))
};
