//! A component has no replicas.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    ..Cause::new(include_str!("scaled_to_zero.md"))
};
