//! The resource cannot be carried out as written.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause =
    Cause { needs_person: true, ..Cause::critical(Component::Operator, include_str!("invalid_spec.md")) };
