//! The proxy's timeouts are not known.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Exposure,
    ..Cause::new(include_str!("proxy_not_checked.md"))
};
