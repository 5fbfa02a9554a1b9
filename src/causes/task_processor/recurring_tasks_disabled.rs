//! A recurring task was switched off after failures.

use super::shared::{
    diagnosis::diagnosis,
    queue::{QueueContext, queues},
    runs, sql,
};
use crate::{
    causes::{prelude::*, steps},
    observe::database::Recurring,
};

/// Failures in a row after which Flagsmith switches a recurring task off.
const IN_A_ROW: &str = "4";

pub(crate) static CAUSE: Cause = Cause {
    log: &[&LOG],
    check: Some(check),
    ..Cause::warning(Component::TaskProcessor, include_str!("recurring_tasks_disabled.md"))
};

static LOG: Plain =
    Plain { precedence: 225, words: &["Recurring task '"], recognise, explain, is_over: None };

/// `the recurring task tasks.x`, or several of them, with the failures in a row.
fn message(tasks: &str, failures: &str) -> String {
    format!(
        "The task processor has switched off the recurring {tasks} after {failures} failures in a row. What is switched off \
         does not run any more until it is switched on again."
    )
}

fn remedy(tasks: &[&str]) -> String {
    format!("Find the reason: {} remove it, then: {}", sql::RECURRING_ERRORS, sql::enable(tasks))
}

fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (_, rest) = failure.message.split_once("Recurring task '")?;
    let (task, rest) = rest.split_once("' auto-disabled after ")?;
    Some(FailureDetails {
        object: Some(task.to_owned()),
        detail: rest.split(' ').next().map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let task = occurrence.details.object.as_deref().unwrap_or_default();
    let failures = occurrence.details.detail.as_deref().unwrap_or(IN_A_ROW);
    let reason = evidence
        .tasks
        .reason(task)
        .map(|reason| format!(" The last failure in this log: {reason}."))
        .unwrap_or_default();
    Explanation::new(
        Code::RecurringTasksDisabled,
        format!("{}{reason}", message(&format!("task {task}"), failures)),
        remedy(&[task]),
    )
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    queues(context).iter().filter_map(disabled).collect()
}

fn disabled(context: &QueueContext<'_>) -> Option<Draft> {
    let disabled: Vec<&Recurring> =
        context.queue.recurring.iter().flatten().filter(|task| task.disabled).collect();
    let identifiers: Vec<&str> = disabled.iter().map(|task| task.identifier.as_str()).collect();
    if identifiers.is_empty() {
        return None;
    }
    let names = steps::names(identifiers.iter().copied());
    let tasks = if disabled.len() == 1 { "task" } else { "tasks" };
    Some(diagnosis(
        Code::RecurringTasksDisabled,
        Severity::Warning,
        message(&format!("{tasks} {names}"), IN_A_ROW),
        disabled.iter().take(runs::SHOWN).map(|task| runs::of_recurring(context, task)).collect(),
        remedy(&identifiers),
    ))
}

#[cfg(test)]
mod tests {
    use super::remedy;
    use crate::{
        causes::{
            log::{failure::Stage, testing},
            task_processor::shared::testing::{
                HOSTILE, assert_harmless, codes, failing_recurring, found, literal, with_queue,
            },
        },
        model::Code,
    };

    #[test]
    fn recognises() {
        let said = "Recurring task 'tasks.clean_up_old_tasks' auto-disabled after 4 consecutive failures";
        let (code, details) = testing::recognise(Stage::Serve, "", said).unwrap();
        assert_eq!(
            (code, details.object.as_deref()),
            (Code::RecurringTasksDisabled, Some("tasks.clean_up_old_tasks"))
        );
    }

    #[test]
    fn a_recurring_task_that_is_off_is_told() {
        let off = with_queue(|queue| failing_recurring(queue, true, 4));
        assert_eq!(codes(&off), [Code::RecurringTasksDisabled]);
        let text = format!("{:?}", found(&off));
        assert!(
            text.contains("told to fail") && text.contains("WHERE task_identifier = 'tasks.push_usage'"),
            "{text}"
        );
    }

    #[test]
    fn a_hostile_name_is_a_text_in_sql() {
        for hostile in HOSTILE {
            assert_harmless(&remedy(&[hostile]), &literal(hostile));
        }
    }
}
