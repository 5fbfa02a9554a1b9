//! This release's run-task-processor never runs a task.

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
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(consequences::WITHOUT_PROCESSOR),
    ],
    ..Cause::new(include_str!("processor_release_broken.md"))
};
