//! The backup before the migration has failed.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    needs_person: true,
    ..Cause::new(include_str!("backup_failed.md"))
};
