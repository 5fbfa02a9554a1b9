//! The resource cannot be carried out as written.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Operator,
    needs_person: true,
    ..Cause::new(include_str!("invalid_spec.md"))
};
