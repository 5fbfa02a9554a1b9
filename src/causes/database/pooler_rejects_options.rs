//! The connection pooler refuses a startup parameter.

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
    is_connection: true,
    explains: &[
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(consequences::WITHOUT_DATABASE),
    ],
    ..Cause::new(include_str!("pooler_rejects_options.md"))
};
