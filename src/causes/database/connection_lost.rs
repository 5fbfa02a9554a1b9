//! An open database connection was closed.

use crate::{
    causes::cause::{Cause, Explains},
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Database,
    is_connection: true,
    explains: &[Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing])],
    ..Cause::new(include_str!("connection_lost.md"))
};
