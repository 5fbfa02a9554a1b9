//! Migrations are undone once pods of the older release serve.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause =
    Cause { ..Cause::info(Component::Migrations, include_str!("older_pods_pending.md")) };
