//! A Job of that name is not the operator's.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: &[Explains::in_logs(&[Code::TaskProcessorMigratesItself])],
    ..Cause::critical(Component::Migrations, include_str!("job_not_owned.md"))
};
