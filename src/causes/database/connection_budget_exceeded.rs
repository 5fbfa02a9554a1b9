//! The replicas need more connections than the server has.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Database,
    ..Cause::new(include_str!("connection_budget_exceeded.md"))
};
