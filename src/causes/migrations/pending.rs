//! The database has not been migrated to this release.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
    ],
    ..Cause::new(include_str!("pending.md"))
};
