//! A task is unknown to the task processor's release.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::TaskProcessor,
    explains: &[
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(&[Code::TasksStuckLocked]),
    ],
    ..Cause::new(include_str!("task_unregistered.md"))
};
