//! Tasks that raise, and recurring tasks that were switched off for it.

use super::{
    super::{Code, Diagnosis, Severity},
    QueueContext, of_tasks, phrasing,
};
use crate::observe::database::{Recurring, Runs};

/// Failures of one kind without a success that count although none was given up: as many as one task may have.
const ATTEMPTS: i64 = 3;

/// Failures in a row of a recurring task that count; the fourth switches it off.
const IN_A_ROW: i32 = 2;

/// Kinds of tasks that are shown.
const SHOWN: usize = 3;

/// A kind fails while its newest run did: a later success shows that the reason is gone.
pub(super) fn tasks(context: &QueueContext<'_>) -> Option<Diagnosis> {
    let queue = context.queue;
    let given_up = |identifier: &str| {
        queue
            .given_up
            .iter()
            .find(|(kind, _)| kind == identifier)
            .map_or(0, |(_, number)| *number)
    };
    let failing: Vec<&Runs> = queue
        .runs
        .iter()
        .filter(|runs| runs.last_failed && (given_up(&runs.identifier) > 0 || runs.failed >= ATTEMPTS))
        .collect();
    let recurring: Vec<&Recurring> = queue
        .recurring
        .iter()
        .flatten()
        .filter(|task| !task.disabled && task.failures >= IN_A_ROW)
        .collect();
    let names: Vec<&str> = failing
        .iter()
        .map(|runs| runs.identifier.as_str())
        .chain(recurring.iter().map(|task| task.identifier.as_str()))
        .collect();
    let first = *names.first()?;
    let lost: i64 = failing.iter().map(|runs| given_up(&runs.identifier)).sum();
    let mut evidence: Vec<String> = failing
        .iter()
        .map(|runs| {
            let lost = match given_up(&runs.identifier) {
                0 => String::new(),
                lost => format!(", {} given up after three attempts", phrasing::tasks(lost)),
            };
            format!(
                "{}: {} failed {} within the hour{lost}; the last: {}",
                context.source(),
                runs.identifier,
                times(runs.failed),
                runs.error.as_deref().unwrap_or("no error was recorded"),
            )
        })
        .chain(recurring.iter().map(|task| of_recurring(context, task)))
        .collect();
    evidence.truncate(SHOWN);
    let requeue = if lost > 0 {
        format!(
            " Those that were given up stay in the table; to queue them again: UPDATE task_processor_task SET num_failures = 0 WHERE task_identifier = '{}' AND NOT completed AND num_failures >= 3;",
            first.replace('\'', "''")
        )
    } else {
        String::new()
    };
    Some(of_tasks(
        Code::TasksFailing,
        Severity::Warning,
        format!("{}: what it should do does not happen.", fails(&names)),
        evidence,
        format!("Remove the reason that the error names.{requeue}"),
    ))
}

/// Recurring tasks that nobody runs any more.
pub(super) fn disabled(context: &QueueContext<'_>) -> Option<Diagnosis> {
    let disabled: Vec<&Recurring> = context
        .queue
        .recurring
        .iter()
        .flatten()
        .filter(|task| task.disabled)
        .collect();
    let first = disabled.first()?;
    let names = phrasing::names(disabled.iter().map(|task| task.identifier.as_str()));
    let mut evidence: Vec<String> = disabled.iter().map(|task| of_recurring(context, task)).collect();
    evidence.truncate(SHOWN);
    Some(of_tasks(
        Code::RecurringTasksDisabled,
        Severity::Warning,
        format!(
            "Recurring tasks were switched off after four failures in a row and do not run any more: {names}."
        ),
        evidence,
        format!(
            "Remove the reason that the error names, then: UPDATE task_processor_recurringtask SET is_disabled = false, num_consecutive_failures = 0 WHERE task_identifier = '{}';",
            first.identifier.replace('\'', "''")
        ),
    ))
}

fn of_recurring(context: &QueueContext<'_>, task: &Recurring) -> String {
    let error = task.last.as_ref().and_then(|last| last.error.as_deref());
    format!(
        "{}: {} failed {} times in a row; the last: {}",
        context.source(),
        task.identifier,
        task.failures,
        error.unwrap_or("no error was recorded"),
    )
}

fn times(number: i64) -> String {
    match number {
        1 => "once".to_owned(),
        number => format!("{} times", phrasing::count(number)),
    }
}

fn fails(names: &[&str]) -> String {
    match names {
        [name] => format!("The task {name} fails"),
        names => format!("The tasks {} fail", phrasing::names(names.iter().copied())),
    }
}
