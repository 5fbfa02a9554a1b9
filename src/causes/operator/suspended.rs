//! The operator is told to leave this installation alone.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Operator,
    ..Cause::new(include_str!("suspended.md"))
};
