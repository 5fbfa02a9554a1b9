//! Tasks are not run, fail, or are run by the wrong process.

mod coordinator;
mod watch;

pub use coordinator::conclude as conclude_coordinator;
pub use watch::{Tasks, conclude};

use super::evidence::{LogEvidence, Occurrence};
use super::failure::{Failure, FailureDetails, quoted_after};
use super::{finding::Explanation, rule::Plain};
use crate::model::Code;

pub const CAUSES: &[(Code, Plain)] = &[
    (
        Code::TaskProcessorReleaseBroken,
        Plain {
            precedence: 205,
            last_resort: false,
            recognise: release,
            explain: explain_release,
            is_over: None,
        },
    ),
    (
        Code::TaskProcessorModeOff,
        Plain {
            precedence: 210,
            last_resort: false,
            recognise: mode,
            explain: explain_mode,
            is_over: None,
        },
    ),
    (
        Code::TaskProcessorDatabaseMismatch,
        Plain {
            precedence: 215,
            last_resort: false,
            recognise: databases,
            explain: explain_databases,
            is_over: None,
        },
    ),
    (
        Code::TaskUnregistered,
        Plain {
            precedence: 220,
            last_resort: false,
            recognise: unregistered,
            explain: explain_unregistered,
            is_over: None,
        },
    ),
    (
        Code::RecurringTasksDisabled,
        Plain {
            precedence: 225,
            last_resort: false,
            recognise: disabled,
            explain: explain_disabled,
            is_over: None,
        },
    ),
    (
        Code::TaskQueueStalled,
        Plain {
            precedence: 230,
            last_resort: false,
            recognise: stalled,
            explain: explain_stalled,
            is_over: None,
        },
    ),
];

fn release(failure: &Failure<'_>) -> Option<FailureDetails> {
    failure
        .says("Attempt to run tasks in a non-task-processor environment")
        .then(FailureDetails::default)
}

fn explain_release(_: &LogEvidence, _: &Occurrence) -> Explanation {
    Explanation::new(
        Code::TaskProcessorReleaseBroken,
        "The task processor picks tasks up and never runs one: it does not know that it is a task processor. That is a defect of Flagsmith 2.253.0 to 2.259.0 when started with \"run-task-processor\"; the pod looks healthy. Every task that it has picked up stays locked.",
        "Upgrade to 2.260.0 or later. Until then start it with the args [\"start\", \"task-processor\"], or set RUN_BY_PROCESSOR=true. Tasks that are locked already stay so; with the processor stopped: UPDATE task_processor_task SET is_locked = false WHERE is_locked AND NOT completed AND num_failures < 3;",
    )
}

fn mode(failure: &Failure<'_>) -> Option<FailureDetails> {
    failure
        .says("is not supported as an entrypoint. Please use")
        .then(FailureDetails::default)
}

fn explain_mode(_: &LogEvidence, _: &Occurrence) -> Explanation {
    Explanation::new(
        Code::TaskProcessorModeOff,
        "The task processor refuses to start because Django's settings say that it is none (TASK_PROCESSOR_MODE is false). The command itself sets RUN_BY_PROCESSOR, from which Flagsmith's settings take it, so these are other settings.",
        "Remove DJANGO_SETTINGS_MODULE from the task processor's environment, or TASK_PROCESSOR_MODE from the own settings module that it names.",
    )
}

fn databases(failure: &Failure<'_>) -> Option<FailureDetails> {
    (failure.is(&["ImproperlyConfigured"]) && failure.says("task_processor") && failure.says("DATABASES"))
        .then(FailureDetails::default)
}

fn explain_databases(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    Explanation::new(
        Code::TaskProcessorDatabaseMismatch,
        format!(
            "The settings of the task processor's database contradict each other: {}",
            occurrence.first.excerpt()
        ),
        "Give TASK_PROCESSOR_DATABASE_URL and TASK_PROCESSOR_DATABASES the same meaning on the API and the task processor: both unset for one database, or the URL set and TASK_PROCESSOR_DATABASES=default,task_processor.",
    )
}

fn unregistered(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (_, rest) = failure.message.split_once("No task registered with identifier")?;
    let name = quoted_after(failure.message, &["identifier ", "identifier: "]).or_else(|| {
        rest.trim_start_matches([':', ' ', '\'', '"'])
            .split(['\'', '"', ' ', '\n', '\\'])
            .next()
    });
    // The class puts its arguments into a tuple: `("… identifier '%s'. …", 'tasks.x')`.
    let name = name.filter(|name| !name.contains('%')).or_else(|| {
        failure
            .message
            .trim_end_matches(')')
            .trim_end_matches('\'')
            .rsplit('\'')
            .next()
    });
    Some(FailureDetails::default().object(name.unwrap_or_default().trim_end_matches('.')))
}

fn explain_unregistered(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = super::phrasing::component(case.component);
    let task = occurrence.details.object.as_deref().unwrap_or_default();
    Explanation::new(
        Code::TaskUnregistered,
        format!(
            "{who} picked up a task \"{task}\" that its release does not know: the API that queued it is newer. Up to ten tasks that were picked up together stay locked each time."
        ),
        format!(
            "Run the same release for the API and the task processor (on Helm set api.image.tag and taskProcessor.image.tag; the second does not follow the first). Then, with the processor stopped: UPDATE task_processor_task SET is_locked = false WHERE is_locked AND NOT completed AND num_failures < 3; A task of a release that is gone: DELETE FROM task_processor_task WHERE task_identifier = '{}';",
            task.replace('\'', "''")
        ),
    )
}

fn disabled(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (_, rest) = failure.message.split_once("Recurring task '")?;
    let (task, rest) = rest.split_once("' auto-disabled after ")?;
    Some(FailureDetails {
        object: Some(task.to_owned()),
        detail: rest.split(' ').next().map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain_disabled(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let task = occurrence.details.object.as_deref().unwrap_or_default();
    let failures = occurrence.details.detail.as_deref().unwrap_or("4");
    let reason = case
        .tasks
        .reason(task)
        .map(|reason| format!(" The last failure in this log: {reason}."))
        .unwrap_or_default();
    Explanation::new(
        Code::RecurringTasksDisabled,
        format!(
            "The task processor has switched off the recurring task {task} after {failures} failures in a row; it does not run any more until somebody switches it on.{reason}"
        ),
        format!(
            "Find the reason: SELECT error_details FROM task_processor_recurringtaskrun r JOIN task_processor_recurringtask t ON t.id = r.task_id WHERE t.task_identifier = '{0}' AND r.result = 'FAILURE' ORDER BY r.id DESC LIMIT 1; remove it, then: UPDATE task_processor_recurringtask SET is_disabled = false, num_consecutive_failures = 0 WHERE task_identifier = '{0}';",
            task.replace('\'', "''")
        ),
    )
}

fn stalled(failure: &Failure<'_>) -> Option<FailureDetails> {
    failure
        .says("Task processor is unable to process tasks")
        .then(|| FailureDetails::form("health"))
}

fn explain_stalled(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    Explanation::new(
        Code::TaskQueueStalled,
        format!(
            "The task processor's own check found {} that a task which it had queued was not run within 1.5 s: nobody works on the queue, or it is too long.",
            super::phrasing::times(occurrence.count)
        ),
        "See whether a task processor runs with the same DATABASE_URL and release, and how long the queue is: SELECT count(*), min(scheduled_for) FROM task_processor_task WHERE NOT completed AND num_failures < 3 AND NOT is_locked AND scheduled_for < now();",
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "AssertionError",
        "Attempt to run tasks in a non-task-processor environment",
        TaskProcessorReleaseBroken,
        None
    )]
    #[case(
        "django.core.exceptions.ImproperlyConfigured",
        "`run-task-processor` is not supported as an entrypoint. Please use `flagsmith start task-processor` instead.",
        TaskProcessorModeOff,
        None
    )]
    #[case(
        "django.core.exceptions.ImproperlyConfigured",
        "DATABASES must include 'task_processor' when using a separate task processor database.",
        TaskProcessorDatabaseMismatch,
        None
    )]
    #[case(
        "task_processor.exceptions.TaskProcessingError",
        "No task registered with identifier 'tasks.new_one'. Ensure your task is decorated.",
        TaskUnregistered,
        Some("tasks.new_one")
    )]
    #[case(
        "task_processor.exceptions.TaskProcessingError",
        "No task registered with identifier: tasks.new_one",
        TaskUnregistered,
        Some("tasks.new_one")
    )]
    #[case(
        "task_processor.exceptions.TaskProcessingError",
        "(\"No task registered with identifier '%s'. Ensure your task is decorated with @register_task_handler.\", 'tasks.new_one')",
        TaskUnregistered,
        Some("tasks.new_one")
    )]
    #[case(
        "",
        "Recurring task 'tasks.clean_up_old_tasks' auto-disabled after 4 consecutive failures",
        RecurringTasksDisabled,
        Some("tasks.clean_up_old_tasks")
    )]
    #[case(
        "",
        "unknown error: Task processor is unable to process tasks.",
        TaskQueueStalled,
        None
    )]
    fn recognises(
        #[case] class: &str,
        #[case] message: &str,
        #[case] expected: Code,
        #[case] object: Option<&str>,
    ) {
        let (code, details) = recognise(Stage::Serve, class, message).unwrap();
        assert_eq!((code, details.object.as_deref()), (expected, object));
    }
}
