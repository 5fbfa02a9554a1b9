//! A container refers to something that is not there.

use crate::{
    causes::{cause::Cause, consequences, context::Context, pods},
    model::{Component, Draft, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: consequences::OF_NO_START,
    check: Some(check),
    ..Cause::new(include_str!("container_config_error.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, pods::config_error)
}
