//! PostgreSQL is too old for this release.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Database,
    blocks_migration: true,
    needs_person: true,
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::same_component(consequences::WITHOUT_START),
    ],
    ..Cause::new(include_str!("version_unsupported.md"))
};
