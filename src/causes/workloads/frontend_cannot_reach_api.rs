//! The frontend cannot pass requests on to the API.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Frontend,
    ..Cause::new(include_str!("frontend_cannot_reach_api.md"))
};
