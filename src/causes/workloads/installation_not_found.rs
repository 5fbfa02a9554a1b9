//! The installation to observe is not there.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    ..Cause::new(include_str!("installation_not_found.md"))
};
