//! Nobody works on the queue.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("task_queue_stalled.md"))
};
