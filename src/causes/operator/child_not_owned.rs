//! An object of that name belongs to somebody else.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Operator,
    needs_person: true,
    is_refusal: true,
    ..Cause::new(include_str!("child_not_owned.md"))
};
