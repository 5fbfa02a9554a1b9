//! The migration failed for another reason.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    is_general: true,
    component: Component::Migrations,
    needs_person: true,
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::everywhere(&[Code::MigrationsPending]),
    ],
    ..Cause::new(include_str!("failed.md"))
};
