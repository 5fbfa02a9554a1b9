//! Pods are killed before they have finished.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    ..Cause::new(include_str!("grace_below_graceful_timeout.md"))
};
