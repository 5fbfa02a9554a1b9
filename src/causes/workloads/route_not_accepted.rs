//! A Gateway does not accept the HTTPRoute.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Exposure,
    needs_person: true,
    ..Cause::new(include_str!("route_not_accepted.md"))
};
