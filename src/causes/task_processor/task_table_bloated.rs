//! The task table has grown large.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("task_table_bloated.md"))
};
