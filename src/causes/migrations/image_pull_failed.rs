//! The migration's image cannot be pulled.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    ..Cause::critical(Component::Migrations, include_str!("image_pull_failed.md"))
};
