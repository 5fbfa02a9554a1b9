//! A long transaction would hold up the migration.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    blocks_migration: true,
    ..Cause::new(include_str!("long_transaction_open.md"))
};
