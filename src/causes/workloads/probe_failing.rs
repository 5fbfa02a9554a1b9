//! A pod runs and does not become ready.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    explains: &[
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::RolloutDeadlineExceeded]),
    ],
    ..Cause::new(include_str!("probe_failing.md"))
};
