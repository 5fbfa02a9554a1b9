//! The migration's pod finds no node.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    ..Cause::critical(Component::Migrations, include_str!("pod_unschedulable.md"))
};
