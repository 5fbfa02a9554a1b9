//! The cluster has no HTTPRoute.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Exposure,
    ..Cause::new(include_str!("http_route_api_missing.md"))
};
