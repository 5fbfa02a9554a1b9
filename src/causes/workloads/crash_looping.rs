//! A container ends again and again.

use crate::{causes::cause::{Cause, Explains}, model::{Code, Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    is_general: true,
    component: Component::Api,
    explains: &[
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::ProbeFailing, Code::RolloutDeadlineExceeded]),
    ],
    ..Cause::new(include_str!("crash_looping.md"))
};
