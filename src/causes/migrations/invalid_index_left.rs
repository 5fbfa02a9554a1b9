//! An interrupted migration left an index that is not used.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Migrations,
    ..Cause::new(include_str!("invalid_index_left.md"))
};
