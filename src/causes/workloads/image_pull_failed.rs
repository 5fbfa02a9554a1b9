//! An image cannot be pulled.

use crate::causes::{described, pods, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    in_logs: Some(|logs| {
        let serves = logs.component != Component::Migrations;
        serves.then(|| described::image_pull_failed(logs, Code::ImagePullFailed))?
    }),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("image_pull_failed.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, |trouble| pods::image_pull_failed(trouble, Code::ImagePullFailed))
}
