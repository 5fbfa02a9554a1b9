//! An image cannot be pulled.

use crate::causes::{pods, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("image_pull_failed.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, |trouble| pods::image_pull_failed(trouble, Code::ImagePullFailed))
}
