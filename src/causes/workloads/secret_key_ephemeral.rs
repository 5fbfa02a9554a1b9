//! Django's secret key changes.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    ..Cause::new(include_str!("secret_key_ephemeral.md"))
};
