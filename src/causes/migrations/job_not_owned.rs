//! A Job of that name belongs to somebody else.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    needs_person: true,
    explains: &[Explains::in_logs(&[Code::TaskProcessorMigratesItself])],
    is_refusal: true,
    ..Cause::new(include_str!("job_not_owned.md"))
};
