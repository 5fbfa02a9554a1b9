//! The task processor looks for tasks rarely.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("task_sleep_interval_high.md"))
};
