//! Tasks are queued and no task processor exists.

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
    ..Cause::new(include_str!("processor_missing.md"))
};
