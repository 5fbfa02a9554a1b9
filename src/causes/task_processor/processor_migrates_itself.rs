//! The task processor migrates the database.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::TaskProcessor,
    ..Cause::new(include_str!("processor_migrates_itself.md"))
};
