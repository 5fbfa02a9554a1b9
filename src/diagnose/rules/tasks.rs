//! Tasks are not run, fail, or are run by the wrong process.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Seen, Sighting};
use super::failure::{Failure, Subject, quoted_after};
use super::{Cause, Explained, Finding};
use crate::diagnose::log::event::{Event, Level};
use crate::diagnose::{Code, Component, Severity};

pub const CAUSES: &[Cause] = &[
    Cause {
        code: Code::TaskProcessorReleaseBroken,
        recognise: release,
        explain: explain_release,
    },
    Cause {
        code: Code::TaskProcessorModeOff,
        recognise: mode,
        explain: explain_mode,
    },
    Cause {
        code: Code::TaskProcessorDatabaseMismatch,
        recognise: databases,
        explain: explain_databases,
    },
    Cause {
        code: Code::TaskUnregistered,
        recognise: unregistered,
        explain: explain_unregistered,
    },
    Cause {
        code: Code::RecurringTasksDisabled,
        recognise: disabled,
        explain: explain_disabled,
    },
    Cause {
        code: Code::TaskQueueStalled,
        recognise: stalled,
        explain: explain_stalled,
    },
];

/// Attempts after which the processor gives a task up (`num_failures < 3` in its query).
const ATTEMPTS: u64 = 3;
/// Tasks of one kind that were given up, or runs that fail, from which on it is more than one task with bad luck: a
/// webhook to a target that is gone fails three times in any healthy installation.
const GIVEN_UP: usize = 2;
/// The same for different tasks that have failed at all.
const FAILING_RUNS: usize = 3;
/// Warnings about unhealthy threads, one each second, from which on they are not a long batch: with the grace
/// period of 20.5 s before the first, a thread has then been busy for half a minute.
const UNHEALTHY_WARNINGS: u64 = 10;
/// Seconds without such a warning after which the threads count as recovered.
const UNHEALTHY_QUIET_SECONDS: i64 = 3;
/// The most different names and task ids that are remembered.
const NAMES: usize = 64;

fn release(failure: &Failure<'_>) -> Option<Subject> {
    failure
        .says("Attempt to run tasks in a non-task-processor environment")
        .then(Subject::default)
}

fn explain_release(_: &Case, _: &Sighting) -> Explained {
    Explained::new(
        Code::TaskProcessorReleaseBroken,
        "The task processor picks tasks up and never runs one: it does not know that it is a task processor. That is a defect of Flagsmith 2.253.0 to 2.259.0 when started with \"run-task-processor\"; the pod looks healthy. Every task that it has picked up stays locked.",
        "Upgrade to 2.260.0 or later. Until then start it with the args [\"start\", \"task-processor\"], or set RUN_BY_PROCESSOR=true. Tasks that are locked already stay so; with the processor stopped: UPDATE task_processor_task SET is_locked = false WHERE is_locked AND NOT completed AND num_failures < 3;",
    )
}

fn mode(failure: &Failure<'_>) -> Option<Subject> {
    failure
        .says("is not supported as an entrypoint. Please use")
        .then(Subject::default)
}

fn explain_mode(_: &Case, _: &Sighting) -> Explained {
    Explained::new(
        Code::TaskProcessorModeOff,
        "The task processor refuses to start because its environment says that it is none: RUN_BY_PROCESSOR is set to a false value.",
        "Remove RUN_BY_PROCESSOR from the task processor's environment (or set it to true), and start it with the args [\"start\", \"task-processor\"].",
    )
}

fn databases(failure: &Failure<'_>) -> Option<Subject> {
    (failure.is(&["ImproperlyConfigured"]) && failure.says("task_processor") && failure.says("DATABASES"))
        .then(Subject::default)
}

fn explain_databases(_: &Case, sighting: &Sighting) -> Explained {
    Explained::new(
        Code::TaskProcessorDatabaseMismatch,
        format!(
            "The settings of the task processor's database contradict each other: {}",
            sighting.first.excerpt()
        ),
        "Give TASK_PROCESSOR_DATABASE_URL and TASK_PROCESSOR_DATABASES the same meaning on the API and the task processor: both unset for one database, or the URL set and TASK_PROCESSOR_DATABASES=default,task_processor.",
    )
}

fn unregistered(failure: &Failure<'_>) -> Option<Subject> {
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
    Some(Subject::default().object(name.unwrap_or_default().trim_end_matches('.')))
}

fn explain_unregistered(case: &Case, sighting: &Sighting) -> Explained {
    let who = super::words::component(case.component);
    let task = sighting.subject.object.as_deref().unwrap_or_default();
    Explained::new(
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

fn disabled(failure: &Failure<'_>) -> Option<Subject> {
    let (_, rest) = failure.message.split_once("Recurring task '")?;
    let (task, rest) = rest.split_once("' auto-disabled after ")?;
    Some(Subject {
        object: Some(task.to_owned()),
        detail: rest.split(' ').next().map(str::to_owned),
        ..Subject::default()
    })
}

fn explain_disabled(_: &Case, sighting: &Sighting) -> Explained {
    let task = sighting.subject.object.as_deref().unwrap_or_default();
    let failures = sighting.subject.detail.as_deref().unwrap_or("4");
    Explained::new(
        Code::RecurringTasksDisabled,
        format!(
            "The task processor has switched off the recurring task {task} after {failures} failures in a row; it does not run any more until somebody switches it on."
        ),
        format!(
            "Find the reason: SELECT error_details FROM task_processor_recurringtaskrun r JOIN task_processor_recurringtask t ON t.id = r.task_id WHERE t.task_identifier = '{0}' AND r.result = 'FAILURE' ORDER BY r.id DESC LIMIT 1; remove it, then: UPDATE task_processor_recurringtask SET is_disabled = false, num_consecutive_failures = 0 WHERE task_identifier = '{0}';",
            task.replace('\'', "''")
        ),
    )
}

fn stalled(failure: &Failure<'_>) -> Option<Subject> {
    failure
        .says("Task processor is unable to process tasks")
        .then(|| Subject::form("health"))
}

fn explain_stalled(_: &Case, sighting: &Sighting) -> Explained {
    Explained::new(
        Code::TaskQueueStalled,
        format!(
            "The task processor's own check found {} that a task which it had queued was not run within 1.5 s: nobody works on the queue, or it is too long.",
            super::words::times(sighting.count)
        ),
        "See whether a task processor runs with the same DATABASE_URL and release, and how long the queue is: SELECT count(*), min(scheduled_for) FROM task_processor_task WHERE NOT completed AND num_failures < 3 AND NOT is_locked AND scheduled_for < now();",
    )
}

/// What the logs say about single tasks and threads.
#[derive(Debug, Default)]
pub struct Tasks {
    failing: BTreeMap<String, Failing>,
    unhealthy: Option<Unhealthy>,
    unmanaged: Option<Unmanaged>,
    dropped: Option<(Seen, u64)>,
    migrated: Option<(Seen, u64)>,
}

#[derive(Debug)]
struct Failing {
    runs: BTreeMap<u64, u64>,
    count: u64,
    first: Seen,
}

#[derive(Debug)]
struct Unhealthy {
    first: Seen,
    last: Seen,
    warnings: u64,
    threads: u64,
}

#[derive(Debug)]
struct Unmanaged {
    first: Seen,
    functions: BTreeSet<String>,
}

impl Tasks {
    /// Notes what a record says of a task; threads of a process that is `stopping` are not stuck.
    pub fn observe(&mut self, event: &Event, input: u16, stopping: bool) {
        let message = event.message.as_str();
        let seen = || Seen::of(event, input);
        if let Some(rest) = message.strip_prefix("Failed to execute task '") {
            self.failed(rest, event, seen);
        } else if let Some((count, "unhealthy threads detected")) = message.split_once(' ') {
            let threads = count.parse().unwrap_or(0);
            if threads > 0 && !stopping {
                self.unhealthy(event, seen(), threads);
            }
        } else if let Some(rest) = message.strip_prefix("Running function ") {
            let Some((function, _)) = rest.split_once(" in unmanaged thread") else {
                return;
            };
            // This one runs in a thread whatever TASK_RUN_METHOD says.
            if function != "track_request" {
                let unmanaged = self.unmanaged.get_or_insert_with(|| Unmanaged {
                    first: seen(),
                    functions: BTreeSet::new(),
                });
                if unmanaged.functions.len() < NAMES {
                    unmanaged.functions.insert(function.to_owned());
                }
            }
        } else if message.starts_with("Cannot schedule tasks to run in the future without task processor") {
            self.dropped.get_or_insert_with(|| (seen(), 0)).1 += 1;
        } else if message.trim_start().starts_with("Applying ") && message.contains("... OK") {
            self.migrated.get_or_insert_with(|| (seen(), 0)).1 += 1;
        }
    }

    fn failed(&mut self, rest: &str, event: &Event, seen: impl Fn() -> Seen) {
        let Some((task, rest)) = rest.split_once("', with id ") else {
            return;
        };
        // The rest of a batch fails so at every shutdown, and is run again.
        if rest.contains("after interpreter shutdown")
            || event.level.is_some_and(|level| level < Level::Warning)
        {
            return;
        }
        let id = rest.split('.').next().and_then(|id| id.parse().ok()).unwrap_or(0);
        if self.failing.len() >= NAMES && !self.failing.contains_key(task) {
            return;
        }
        let failing = self.failing.entry(task.to_owned()).or_insert_with(|| Failing {
            runs: BTreeMap::new(),
            count: 0,
            first: seen(),
        });
        failing.count += 1;
        if failing.runs.len() < NAMES || failing.runs.contains_key(&id) {
            *failing.runs.entry(id).or_default() += 1;
        }
    }

    fn unhealthy(&mut self, event: &Event, seen: Seen, threads: u64) {
        let gap = |last: &Unhealthy| {
            event
                .time
                .zip(last.last.time)
                .map_or(0, |(now, last)| now.seconds_since(last))
        };
        match &mut self.unhealthy {
            Some(known) if gap(known) <= UNHEALTHY_QUIET_SECONDS => {
                known.last = seen;
                known.warnings += 1;
                known.threads = known.threads.max(threads);
            }
            known => {
                *known = Some(Unhealthy {
                    first: seen.clone(),
                    last: seen,
                    warnings: 1,
                    threads,
                });
            }
        }
    }
}

/// The causes that many records show together.
pub fn conclude(case: &Case) -> Vec<Finding> {
    let tasks = &case.tasks;
    [
        stuck(case, tasks),
        failing(tasks),
        unmanaged(case, tasks),
        migrates(case, tasks),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stuck(case: &Case, tasks: &Tasks) -> Option<Finding> {
    let unhealthy = tasks.unhealthy.as_ref()?;
    if unhealthy.warnings < UNHEALTHY_WARNINGS {
        return None;
    }
    let end = case
        .sources
        .iter()
        .filter_map(|source| match source.life.stopping {
            Some((line, time)) if line > unhealthy.last.line => time,
            _ => source.life.last_time,
        });
    let quiet = end
        .max()
        .zip(unhealthy.last.time)
        .map_or(0, |(end, last)| end.seconds_since(last));
    if quiet > UNHEALTHY_QUIET_SECONDS {
        return None;
    }
    let seconds = unhealthy.last.time.zip(unhealthy.first.time).map_or_else(
        || format!("{} warnings long", unhealthy.warnings),
        |(last, first)| format!("for {} s on top of the grace period", last.seconds_since(first)),
    );
    let threads = match unhealthy.threads {
        1 => "A thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    let explained = Explained::new(
        Code::TaskQueueStalled,
        format!("{threads} of the task processor did not come back for the next task, {seconds}, and still had not at the end of the log: stuck in a task or waiting for the database. What was picked up with that task waits behind it."),
        "See what they wait for: SELECT pid, state, wait_event_type, wait_event, now() - query_start, left(query, 80) FROM pg_stat_activity WHERE application_name NOT LIKE 'psql%' AND state <> 'idle'; and what is locked: SELECT task_identifier, count(*) FROM task_processor_task WHERE is_locked AND NOT completed GROUP BY 1; then restart the task processor. In 2.160.0 to 2.199.x one task over its time limit blocks its thread for ever: upgrade to 2.200.0 or later.",
    )
    .with(Severity::Warning);
    Some(Finding {
        explained,
        evidence: vec![unhealthy.first.clone(), unhealthy.last.clone()],
    })
}

fn failing(tasks: &Tasks) -> Option<Finding> {
    let given_up = |failing: &Failing| failing.runs.values().filter(|count| **count >= ATTEMPTS).count();
    let mut worst: Vec<_> = tasks
        .failing
        .iter()
        .filter(|(_, failing)| given_up(failing) >= GIVEN_UP || failing.runs.len() >= FAILING_RUNS)
        .collect();
    worst.sort_by_key(|(_, failing)| std::cmp::Reverse(failing.count));
    let (task, first) = worst.first()?;
    let others = if worst.len() > 1 {
        format!(", and {} other kinds of task fail as well", worst.len() - 1)
    } else {
        String::new()
    };
    let lost = given_up(first);
    let given_up = match lost {
        0 => String::new(),
        1 => " One task was given up after its third attempt.".to_owned(),
        lost => format!(" {lost} tasks were given up after their third attempt."),
    };
    let explained = Explained::new(
        Code::TasksFailing,
        format!(
            "The task {task} failed {} in this log{others}.{given_up}",
            super::words::times(first.count)
        ),
        format!(
            "Read why: SELECT left(max(error_details), 2000) FROM task_processor_taskrun r JOIN task_processor_task t ON t.id = r.task_id WHERE t.task_identifier = '{0}' AND r.result = 'FAILURE'; when the reason is gone, queue them again: UPDATE task_processor_task SET num_failures = 0 WHERE task_identifier = '{0}' AND NOT completed AND num_failures >= 3;",
            task.replace('\'', "''")
        ),
    );
    Some(Finding {
        explained,
        evidence: worst
            .iter()
            .take(3)
            .map(|(_, failing)| failing.first.clone())
            .collect(),
    })
}

fn unmanaged(case: &Case, tasks: &Tasks) -> Option<Finding> {
    if case.component == Component::TaskProcessor {
        return None;
    }
    let mut evidence = Vec::new();
    let mut what = String::new();
    if let Some(unmanaged) = &tasks.unmanaged {
        let names: Vec<&str> = unmanaged.functions.iter().take(3).map(String::as_str).collect();
        what = format!(" It ran {} in threads of its own.", names.join(", "));
        evidence.push(unmanaged.first.clone());
    }
    if let Some((seen, count)) = &tasks.dropped {
        what = format!(
            "{what} {} scheduled for later was dropped for ever.",
            if *count == 1 {
                "A task".to_owned()
            } else {
                format!("{count} tasks: what was")
            }
        );
        evidence.push(seen.clone());
    }
    if evidence.is_empty() {
        return None;
    }
    let explained = Explained::new(
        Code::TaskRunMethodUnset,
        format!(
            "The API does not hand its tasks to a task processor: TASK_RUN_METHOD is not TASK_PROCESSOR.{what} Such tasks are lost when the pod stops, are not retried, and scheduled changes never happen; a task processor that runs beside it has nothing to do."
        ),
        "Set TASK_RUN_METHOD=TASK_PROCESSOR on the API (on Helm taskProcessor.enabled=true does it), and run a task processor with the same database and release.",
    );
    Some(Finding { explained, evidence })
}

fn migrates(case: &Case, tasks: &Tasks) -> Option<Finding> {
    let (seen, count) = tasks
        .migrated
        .as_ref()
        .filter(|_| case.component == Component::TaskProcessor)?;
    let migrations = if *count == 1 {
        "one migration".to_owned()
    } else {
        format!("{count} migrations")
    };
    let explained = Explained::new(
        Code::TaskProcessorMigratesItself,
        format!(
            "The task processor applied {migrations} at its start: \"run-task-processor\" migrates since Flagsmith 2.178.0. Several replicas migrate at the same time, and a newer tag migrates the database under an older API."
        ),
        "Start it with the args [\"start\", \"task-processor\"] and command [\"flagsmith\"] (2.170.0 and later), and migrate in one Job before.",
    );
    Some(Finding {
        explained,
        evidence: vec![seen.clone()],
    })
}

#[cfg(test)]
mod tests {
    use crate::diagnose::Code::{self, *};
    use crate::diagnose::rules::failure::Stage;
    use crate::diagnose::rules::testing::recognise;
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
        let (code, subject) = recognise(Stage::Serve, class, message).unwrap();
        assert_eq!((code, subject.object.as_deref()), (expected, object));
    }
}
