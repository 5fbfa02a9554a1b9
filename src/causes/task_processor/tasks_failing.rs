//! Tasks fail.

use super::shared::{
    diagnosis::diagnosis,
    queue::{QueueContext, queues},
    runs, sql,
};
use crate::{
    causes::{
        log::{phrasing, tasks::Failing},
        prelude::*,
        steps,
    },
    flagsmith::INTERRUPTED,
    observe::database::{Queue, Recurring, Runs},
};

/// Attempts after which the processor gives a task up (`num_failures < 3` in its query).
const ATTEMPTS: u64 = 3;
/// Tasks of one kind that were given up, or runs that fail, from which on it is more than one task with bad luck: a
/// webhook to a target that is gone fails three times in any healthy installation.
const GIVEN_UP: usize = 2;
/// The same for different tasks that have failed at all.
const FAILING_RUNS: usize = 3;
/// Failures of one kind without a success that count although none was given up: as many as one task may have.
const FAILURES: i64 = 3;
/// Failures in a row of a recurring task that count; the fourth switches it off.
const IN_A_ROW: i32 = 2;

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    check: Some(check),
    ..Cause::warning(Component::TaskProcessor, include_str!("tasks_failing.md"))
};

fn message(names: &[&str]) -> String {
    match names {
        [name] => format!("The task {name} fails: what it should do does not happen."),
        names => format!(
            "The tasks {} fail: what they should do does not happen.",
            steps::names(names.iter().copied())
        ),
    }
}

/// `given_up`: the kinds of tasks of which some were given up.
fn remedy(given_up: &[&str]) -> String {
    let requeue = if given_up.is_empty() {
        String::new()
    } else {
        format!(
            " Those that were given up stay in the table; to queue them again: {}",
            sql::requeue(given_up)
        )
    };
    format!("Remove the reason that the error names.{requeue}")
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let given_up = |failing: &Failing| failing.runs.values().filter(|count| **count >= ATTEMPTS).count();
    let mut worst: Vec<_> = evidence
        .tasks
        .failing
        .iter()
        .filter(|(_, failing)| given_up(failing) >= GIVEN_UP || failing.runs.len() >= FAILING_RUNS)
        .collect();
    worst.sort_by_key(|(_, failing)| std::cmp::Reverse(failing.count));
    let (task, first) = worst.first()?;
    let others = match worst.len() {
        1 => String::new(),
        2 => ", and another kind of task fails as well".to_owned(),
        kinds => format!(", and {} other kinds of task fail as well", kinds - 1),
    };
    let reason = evidence
        .tasks
        .reason(task)
        .map(|reason| format!(" Its last failure in this log: {reason}."))
        .unwrap_or_default();
    let lost = match given_up(first) {
        0 => String::new(),
        1 => " One task was given up after its third attempt.".to_owned(),
        lost => format!(" {lost} tasks were given up after their third attempt."),
    };
    let explained = Explanation::new(
        Code::TasksFailing,
        format!(
            "{} It failed {} in this log{others}.{lost}{reason}",
            message(&[task.as_str()]),
            phrasing::times(first.count)
        ),
        format!("Read why: {} {}", sql::error(task), remedy(&[task.as_str()])),
    );
    let locations = worst.iter().take(runs::SHOWN);
    Some(Finding::new(explained, locations.map(|(_, failing)| failing.first.clone()).collect()))
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    queues(context).iter().filter_map(failing).collect()
}

/// A kind fails while its newest run did: a later success shows that the reason is gone.
fn failing(context: &QueueContext<'_>) -> Option<Draft> {
    let queue = context.queue;
    let failing: Vec<&Runs> = queue
        .runs
        .iter()
        .filter(|runs| runs.last_failed && (given_up(queue, runs) > 0 || fails_each_time(runs)))
        .collect();
    let recurring: Vec<&Recurring> =
        queue.recurring.iter().flatten().filter(|task| !task.disabled && task.failures >= IN_A_ROW).collect();
    let names: Vec<&str> = failing
        .iter()
        .map(|runs| runs.identifier.as_str())
        .chain(recurring.iter().map(|task| task.identifier.as_str()))
        .collect();
    if names.is_empty() {
        return None;
    }
    let lost: Vec<&str> = failing
        .iter()
        .filter(|runs| given_up(queue, runs) > 0)
        .map(|runs| runs.identifier.as_str())
        .collect();
    let mut evidence: Vec<String> = failing
        .iter()
        .map(|runs| told(context, runs))
        .chain(recurring.iter().map(|task| runs::of_recurring(context, task)))
        .collect();
    evidence.truncate(runs::SHOWN);
    Some(diagnosis(Code::TasksFailing, Severity::Warning, message(&names), evidence, remedy(&lost)))
}

/// Whether runs fail for a reason of their own, and not because their processor was told to end.
fn fails_each_time(runs: &Runs) -> bool {
    runs.failed >= FAILURES && !runs.error.as_ref().is_some_and(|error| error.contains(INTERRUPTED))
}

/// How many of this kind were given up.
fn given_up(queue: &Queue, runs: &Runs) -> i64 {
    let mut kinds = queue.given_up.iter();
    kinds.find(|(kind, _)| *kind == runs.identifier).map_or(0, |(_, number)| *number)
}

fn told(context: &QueueContext<'_>, runs: &Runs) -> String {
    let lost = match given_up(context.queue, runs) {
        0 => String::new(),
        lost => format!(", {} given up after three attempts", steps::tasks(lost)),
    };
    format!(
        "{}: {} failed {} within the hour{lost}; the last: {}",
        context.source(),
        runs.identifier,
        steps::times(runs.failed),
        runs.error.as_deref().unwrap_or(runs::NO_ERROR),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::remedy;
    use crate::{
        causes::task_processor::shared::testing::{
            HOSTILE, assert_harmless, codes, failing_recurring, found, literal, runs, with_queue,
        },
        model::Code,
        observe::database::Runs,
    };

    #[rstest]
    #[case::given_up(runs("tasks.call_webhook", 10, 3, true), 1, true)]
    #[case::fails_each_time(runs("tasks.call_webhook", 3, 3, true), 0, true)]
    #[case::a_later_one_succeeded(runs("tasks.call_webhook", 10, 3, false), 1, false)]
    #[case::will_be_tried_again(runs("tasks.call_webhook", 10, 1, true), 0, false)]
    fn failing(#[case] of: Runs, #[case] given_up: i64, #[case] expected: bool) {
        let observation = with_queue(|queue| {
            queue.given_up = vec![(of.identifier.clone(), given_up)];
            queue.runs = vec![of.clone()];
        });
        let expected = if expected { vec![Code::TasksFailing] } else { vec![] };
        assert_eq!(codes(&observation), expected);
        if let Some(first) = found(&observation).first() {
            assert!(
                first.evidence.iter().any(|line| line.contains("ConnectionError: no answer")),
                "{first:?}"
            );
        }
    }

    /// A batch of ten fails whenever a processor is told to end; what was given up for that is lost all the same.
    #[rstest]
    #[case(0, vec![])]
    #[case(1, vec![Code::TasksFailing])]
    fn a_processor_that_ends_is_no_reason(#[case] given_up: i64, #[case] expected: Vec<Code>) {
        let error = "RuntimeError: cannot schedule new futures after interpreter shutdown";
        let observation = with_queue(|queue| {
            queue.runs = vec![Runs { error: Some(error.to_owned()), ..runs("tasks.a", 500, 10, true) }];
            queue.given_up = vec![("tasks.a".to_owned(), given_up)];
        });
        assert_eq!(codes(&observation), expected);
    }

    /// The statement that queues tasks again names the kind of which some were given up, not the first that fails.
    #[test]
    fn what_was_given_up_is_queued_again() {
        let observation = with_queue(|queue| {
            queue.runs = vec![runs("tasks.a", 3, 3, true), runs("tasks.b", 9, 3, true)];
            queue.given_up = vec![("tasks.b".to_owned(), 1)];
        });
        let remedy = found(&observation).swap_remove(0).remedy;
        assert!(remedy.contains("WHERE task_identifier = 'tasks.b'"), "{remedy}");
    }

    #[test]
    fn a_recurring_task_is_told_while_it_fails() {
        let of = |failures| with_queue(|queue| failing_recurring(queue, false, failures));
        assert_eq!(codes(&of(1)), []);
        assert_eq!(codes(&of(3)), [Code::TasksFailing]);
    }

    #[test]
    fn a_hostile_name_is_a_text_in_sql() {
        for hostile in HOSTILE {
            assert_harmless(&remedy(&[hostile]), &literal(hostile));
            assert_harmless(&super::sql::error(hostile), &literal(hostile));
        }
    }
}
