//! The installed resource definition is older than the operator.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Operator,
    ..Cause::new(include_str!("crd_outdated.md"))
};
