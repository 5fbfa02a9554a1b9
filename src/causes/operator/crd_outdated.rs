//! The installed resource definition is older than the operator.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause =
    Cause { ..Cause::warning(Component::Operator, include_str!("crd_outdated.md")) };
