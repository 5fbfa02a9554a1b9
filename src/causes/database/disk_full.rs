//! The database server's disk is full.

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
    explains: &[
        Explains::later_in_log(&[Code::DatabaseStarting, Code::DatabaseUnreachable]),
        Explains::in_logs(&[Code::DatabaseConnectionLost]),
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(consequences::WITHOUT_DATABASE),
    ],
    ..Cause::new(include_str!("disk_full.md"))
};
