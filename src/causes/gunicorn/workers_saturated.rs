//! All worker threads are busy.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    explains: &[Explains::same_component(&[
        Code::LivenessProbeKilling,
        Code::ProbeFailing,
        Code::CrashLooping,
    ])],
    ..Cause::new(include_str!("workers_saturated.md"))
};
