//! The migrations of this release have a known defect.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Migrations,
    ..Cause::new(include_str!("release_has_known_defect.md"))
};
