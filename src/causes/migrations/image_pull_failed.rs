//! The migration's image cannot be pulled.

use crate::{
    causes::{cause::Cause, consequences},
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    explains: consequences::OF_STOPPED_MIGRATION,
    ..Cause::new(include_str!("image_pull_failed.md"))
};
