//! Migrations of a newer release are being undone.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Migrations,
    ..Cause::new(include_str!("rollback_loses_data.md"))
};
