//! The operator lacks a permission.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Operator,
    needs_person: true,
    ..Cause::new(include_str!("forbidden.md"))
};
