//! The upgrade goes over many releases at once.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Migrations,
    ..Cause::new(include_str!("upgrade_skips_versions.md"))
};
