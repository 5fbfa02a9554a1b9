//! The downgrade or rollback cannot be done like this.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    blocks_migration: true,
    needs_person: true,
    ..Cause::new(include_str!("downgrade_blocked.md"))
};
