//! The database's host name cannot be resolved.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Database,
    blocks_migration: true,
    is_connection: true,
    explains: &[
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::everywhere(&[Code::DatabaseConnectionLost, Code::DatabaseStarting]),
    ],
    ..Cause::new(include_str!("host_not_found.md"))
};
