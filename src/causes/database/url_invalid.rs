//! The database's address cannot be understood.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Database,
    blocks_migration: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_DATABASE)],
    ..Cause::new(include_str!("url_invalid.md"))
};
