//! The database is the embedded one.

use crate::{
    causes::cause::Cause,
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Info,
    component: Component::Database,
    ..Cause::new(include_str!("embedded_database_in_use.md"))
};
