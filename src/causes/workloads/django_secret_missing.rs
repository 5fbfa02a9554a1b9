//! The Secret with Django's secret key is missing.

use crate::{causes::{cause::{Cause, Explains}, consequences}, model::{Code, Component, Severity}};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    blocks_migration: true,
    explains: &[
        Explains::everywhere(&[Code::ContainerConfigError]),
        Explains::same_component(consequences::WITHOUT_START),
    ],
    ..Cause::new(include_str!("django_secret_missing.md"))
};
