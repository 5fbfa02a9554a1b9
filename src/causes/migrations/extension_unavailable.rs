//! A PostgreSQL extension cannot be created.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    blocks_migration: true,
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::everywhere(&[Code::MigrationsPending]),
    ],
    ..Cause::new(include_str!("extension_unavailable.md"))
};
