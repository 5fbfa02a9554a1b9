//! The migration's pod finds no node.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::everywhere(&[Code::MigrationsPending]),
    ],
    ..Cause::new(include_str!("pod_unschedulable.md"))
};
