//! The backup before the migration is being made.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Migrations,
    ..Cause::new(include_str!("backup_pending.md"))
};
