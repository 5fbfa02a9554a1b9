//! A container was killed for lack of memory.

use crate::{causes::{cause::{Cause, Explains}, consequences}, model::{Code, Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::GunicornWorkerOutOfMemory, Code::GunicornWorkerKilled]),
    ],
    ..Cause::new(include_str!("container_out_of_memory.md"))
};
