//! A request took longer than the worker's timeout.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    ..Cause::new(include_str!("worker_timeout.md"))
};
