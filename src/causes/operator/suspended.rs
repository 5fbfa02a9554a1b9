//! The operator is told to leave this installation alone.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause { ..Cause::info(Component::Operator, include_str!("suspended.md")) };
