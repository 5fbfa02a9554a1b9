//! A recurring task was switched off after failures.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("recurring_tasks_disabled.md"))
};
