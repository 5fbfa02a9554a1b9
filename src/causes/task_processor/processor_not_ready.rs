//! No pod of the task processor is ready.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::TaskProcessor,
    explains: &[
        Explains::everywhere(consequences::WITHOUT_PROCESSOR),
        Explains::same_component(&[Code::ProbeFailing, Code::RolloutDeadlineExceeded]),
    ],
    ..Cause::new(include_str!("processor_not_ready.md"))
};
