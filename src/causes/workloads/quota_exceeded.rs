//! The namespace's quota forbids the pod.

use crate::{causes::{cause::{Cause, Explains}, consequences}, model::{Code, Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    needs_person: true,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
    ],
    ..Cause::new(include_str!("quota_exceeded.md"))
};
