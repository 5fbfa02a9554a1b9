//! An autoscaler and the manifest both set the number of pods.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    ..Cause::new(include_str!("replicas_contested.md"))
};
