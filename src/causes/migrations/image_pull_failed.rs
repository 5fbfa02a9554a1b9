//! The migration's image cannot be pulled.

use crate::causes::{described, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    in_logs: Some(|logs| {
        let migrates = logs.component == Component::Migrations;
        migrates.then(|| described::image_pull_failed(logs, Code::MigrationImagePullFailed))?
    }),
    ..Cause::critical(Component::Migrations, include_str!("image_pull_failed.md"))
};
