//! The migration waits until its image has been pulled.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause =
    Cause { ..Cause::info(Component::Migrations, include_str!("image_pending.md")) };
