//! The Secret with the database's credentials does not exist.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Database,
    blocks_migration: true,
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::everywhere(&[Code::ContainerConfigError]),
    ],
    ..Cause::new(include_str!("secret_missing.md"))
};
