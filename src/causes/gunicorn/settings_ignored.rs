//! Gunicorn settings do not take effect, or stop the start.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    explains: &[
        // A variable that is not read hinders no start, in contrast to an unknown flag.
        Explains::same_component(consequences::WITHOUT_START).when_critical(),
    ],
    ..Cause::new(include_str!("settings_ignored.md"))
};
