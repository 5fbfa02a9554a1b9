//! API and task processor do not use the same queue.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::TaskProcessor,
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    ..Cause::new(include_str!("processor_database_mismatch.md"))
};
