//! The task table has grown large.

use jiff::SignedDuration;

use super::shared::{
    diagnosis::diagnosis,
    queue::{QueueContext, queues},
    runs,
};
use crate::{
    causes::{
        prelude::*,
        steps::{age, count},
    },
    observe::database::Recurring,
};

/// Rows from which a missing clean-up matters: picking up tasks takes milliseconds below, and seconds at fifty
/// times as many.
const MANY: i64 = 1_000_000;

/// The clean-up runs daily (`TASK_DELETE_RUN_EVERY`); three days without one are no accident.
const OVERDUE: SignedDuration = SignedDuration::from_hours(72);

/// The recurring task that deletes finished tasks, whatever module it is in.
const CLEAN_UP: &str = "clean_up_old_tasks";

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::TaskProcessor, include_str!("task_table_bloated.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    queues(context).iter().filter_map(bloated).collect()
}

fn bloated(context: &QueueContext<'_>) -> Option<Draft> {
    let queue = context.queue;
    if queue.rows < MANY {
        return None;
    }
    let recurring = queue.recurring.as_ref()?;
    let clean_up = recurring.iter().find(|task| task.identifier.ends_with(CLEAN_UP));
    let (why, remedy) = reason(clean_up)?;
    Some(diagnosis(
        Code::TaskTableBloated,
        Severity::Warning,
        "The table of tasks grows without end: finished tasks are not deleted. Picking up tasks becomes slow, then \
         everything that uses this database does.",
        vec![
            format!(
                "{}: task_processor_task has {} rows (estimate) in {} MB",
                context.source(),
                count(queue.rows),
                count(queue.bytes >> 20),
            ),
            format!("{}: {why}", context.source()),
        ],
        format!(
            "{remedy} What has piled up is deleted in batches of TASK_DELETE_BATCH_SIZE (2,000) at each run; faster: DELETE \
             FROM task_processor_task WHERE id IN (SELECT id FROM task_processor_task WHERE completed AND created_at < now() \
             - interval '30 days' LIMIT 100000); repeatedly, then VACUUM."
        ),
    ))
}

/// Why the clean-up does not work, and what to do. `None`: it does.
fn reason(clean_up: Option<&Recurring>) -> Option<(String, &'static str)> {
    let Some(task) = clean_up else {
        return Some((
            format!("no recurring task {CLEAN_UP} is registered"),
            "Remove ENABLE_CLEAN_UP_OLD_TASKS=false from the environment of the task processor, or start it as one \
             (args: start task-processor).",
        ));
    };
    if task.disabled {
        return Some((
            format!("recurring task {} is switched off", task.identifier),
            "Enable it as RecurringTasksDisabled says.",
        ));
    }
    match &task.last {
        Some(last) if last.succeeded == Some(false) => Some((
            format!(
                "recurring task {} failed: {}",
                task.identifier,
                last.error.as_deref().unwrap_or(runs::NO_ERROR)
            ),
            "Remove the reason that the error names.",
        )),
        Some(last) if last.began > OVERDUE => Some((
            format!("recurring task {} last ran {} ago", task.identifier, age(last.began)),
            "See why it does not run: the task processor's log, and whether its row is locked.",
        )),
        // Not among the newest thousand runs, or fine.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::{
        causes::task_processor::shared::testing::{codes, with_queue},
        model::Code,
        observe::database::Recurring,
    };

    #[test]
    fn a_large_table_is_bloated_only_without_its_clean_up() {
        let of = |change: fn(&mut Vec<Recurring>)| {
            codes(&with_queue(|queue| {
                queue.rows = 56_000_000;
                change(queue.recurring.as_mut().unwrap());
            }))
        };
        assert_eq!(of(|_| {}), []);
        assert_eq!(of(|tasks| drop(tasks.remove(0))), [Code::TaskTableBloated]);
        assert_eq!(
            of(|tasks| tasks[0].last.as_mut().unwrap().began = SignedDuration::from_hours(100)),
            [Code::TaskTableBloated]
        );
    }
}
