//! The database cannot be written.

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
    explains: &[
        Explains::in_logs(&[Code::DatabaseConnectionLost]),
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(consequences::WITHOUT_DATABASE),
    ],
    ..Cause::new(include_str!("read_only.md"))
};
