//! New pods do not become ready.

use crate::{causes::cause::Cause, model::{Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    needs_person: true,
    ..Cause::new(include_str!("rollout_deadline_exceeded.md"))
};
