//! Pods stop serving before proxies know that they end.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    ..Cause::new(include_str!("pre_stop_too_short.md"))
};
