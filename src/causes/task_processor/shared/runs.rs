//! What runs of recurring tasks show.

use super::queue::QueueContext;
use crate::observe::database::Recurring;

/// Kinds of tasks that are shown.
pub(crate) const SHOWN: usize = 3;

/// What is said where the database has no error of a run that failed.
pub(crate) const NO_ERROR: &str = "no error was recorded";

/// How a recurring task failed, as evidence.
pub(crate) fn of_recurring(context: &QueueContext<'_>, task: &Recurring) -> String {
    let error = task.last.as_ref().and_then(|last| last.error.as_deref());
    format!(
        "{}: {} failed {} times in a row; the last: {}",
        context.source(),
        task.identifier,
        task.failures,
        error.unwrap_or(NO_ERROR),
    )
}
