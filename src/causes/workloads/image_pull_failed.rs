//! An image cannot be pulled.

use crate::{
    causes::{cause::Cause, consequences, context::Context, pods},
    model::{Code, Component, Draft, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: consequences::OF_NO_START,
    check: Some(check),
    ..Cause::new(include_str!("image_pull_failed.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, |trouble| {
        pods::image_pull_failed(trouble, Code::ImagePullFailed)
    })
}
