//! The migration's image cannot be pulled.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::everywhere(&[Code::MigrationsPending]),
    ],
    ..Cause::new(include_str!("image_pull_failed.md"))
};
