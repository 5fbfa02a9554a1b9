//! The worker class is not in the image.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[Explains::same_component(consequences::WITHOUT_START)],
    ..Cause::new(include_str!("worker_class_unavailable.md"))
};
