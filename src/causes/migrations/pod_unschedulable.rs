//! The migration's pod finds no node.

use crate::{
    causes::{cause::Cause, consequences},
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    explains: consequences::OF_STOPPED_MIGRATION,
    ..Cause::new(include_str!("pod_unschedulable.md"))
};
