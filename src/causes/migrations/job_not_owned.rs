//! A Job of that name is not the operator's.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    needs_person: true,
    explains: &[Explains::in_logs(&[Code::TaskProcessorMigratesItself])],
    ..Cause::new(include_str!("job_not_owned.md"))
};
