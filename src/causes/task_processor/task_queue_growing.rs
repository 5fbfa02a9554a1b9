//! Tasks come faster than they are worked on.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("task_queue_growing.md"))
};
