//! The backup before the migration is being made.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause =
    Cause { ..Cause::info(Component::Migrations, include_str!("backup_pending.md")) };
