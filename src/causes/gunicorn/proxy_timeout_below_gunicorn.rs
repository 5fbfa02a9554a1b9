//! The proxy gives up before Gunicorn.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Exposure,
    ..Cause::new(include_str!("proxy_timeout_below_gunicorn.md"))
};
