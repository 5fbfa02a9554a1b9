//! The migration's pod finds no node.

use crate::causes::{described, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    in_logs: Some(|logs| {
        let migrates = logs.component == Component::Migrations;
        migrates.then(|| described::unschedulable(logs, Code::MigrationPodUnschedulable))?
    }),
    ..Cause::critical(Component::Migrations, include_str!("pod_unschedulable.md"))
};
