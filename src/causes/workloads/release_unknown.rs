//! The release of an observed installation is not known.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Api,
    ..Cause::new(include_str!("release_unknown.md"))
};
