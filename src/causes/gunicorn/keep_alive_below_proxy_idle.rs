//! Gunicorn closes idle connections before the proxy does.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Exposure,
    ..Cause::new(include_str!("keep_alive_below_proxy_idle.md"))
};
