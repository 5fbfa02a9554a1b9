//! More Gunicorn workers than the limits are enough for.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Api,
    ..Cause::new(include_str!("workers_exceed_limits.md"))
};
