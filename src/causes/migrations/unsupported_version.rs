//! This version of Flagsmith is not supported here.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Migrations,
    needs_person: true,
    ..Cause::new(include_str!("unsupported_version.md"))
};
