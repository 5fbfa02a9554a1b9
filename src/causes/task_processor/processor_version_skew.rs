//! API and task processor run different releases.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::TaskProcessor,
    explains: &[Explains::everywhere(&[
        Code::TaskUnregistered,
        Code::TasksStuckLocked,
    ])],
    ..Cause::new(include_str!("processor_version_skew.md"))
};
