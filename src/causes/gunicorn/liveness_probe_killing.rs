//! The liveness probe restarts pods that work.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    explains: &[
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::ProbeFailing, Code::CrashLooping]),
    ],
    ..Cause::new(include_str!("liveness_probe_killing.md"))
};
