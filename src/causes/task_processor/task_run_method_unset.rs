//! The API runs tasks itself.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("task_run_method_unset.md"))
};
