//! What many records show together: threads that do not come back, tasks that fail, tasks in the wrong place.

use std::collections::{BTreeMap, BTreeSet};

use crate::causes::log::evidence::{LogEvidence, LogLocation};
use crate::causes::log::timeline::ProcessTimeline;
use crate::causes::log::{
    finding::{Explanation, Finding},
    phrasing,
};
use crate::logs::event::{Event, Level};
use crate::logs::time::Moment;
use crate::model::{Code, Component, Severity};

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
/// Questions for the next tasks that were cancelled, from which on it is not one slow moment.
const CANCELLED: u64 = 5;
/// Seconds without one after which the queue counts as readable again; a processor asks every half second.
const CANCELLED_QUIET_SECONDS: i64 = 60;
/// The most different names and task ids that are remembered.
const NAMES: usize = 64;

/// What the logs say about single tasks and threads.
#[derive(Debug, Default)]
pub struct Tasks {
    failing: BTreeMap<String, Failing>,
    unhealthy: Option<Unhealthy>,
    unmanaged: Option<Unmanaged>,
    dropped: Option<(LogLocation, u64)>,
    /// Questions for the next tasks that the server cancelled: the first, the last, how many.
    cancelled: Option<(LogLocation, LogLocation, u64)>,
    /// Migrations that were applied, by the source that did it.
    migrated: BTreeMap<u16, (LogLocation, u64)>,
    /// Where the coordinator ended at its start.
    pub(super) ended: Option<LogLocation>,
}

#[derive(Debug)]
struct Failing {
    runs: BTreeMap<u64, u64>,
    count: u64,
    first: LogLocation,
    last: LogLocation,
}

#[derive(Debug)]
struct Unhealthy {
    first: LogLocation,
    last: LogLocation,
    warnings: u64,
    threads: u64,
}

#[derive(Debug)]
struct Unmanaged {
    first: LogLocation,
    functions: BTreeSet<String>,
}

impl Tasks {
    /// Notes what a record says of a task; threads of a process that is `stopping` are not stuck.
    pub fn observe(&mut self, event: &Event, input: u16, stopping: bool) {
        let message = event.message.as_str();
        let location = || LogLocation::of(event, input);
        if let Some(rest) = message.strip_prefix("Failed to execute task '") {
            self.failed(rest, event, location);
        } else if message.starts_with("Error handling tasks from database ")
            || message.starts_with("Received error retrieving tasks: ")
        {
            let cancelled = event.chain.iter().any(|it| it.class.ends_with(".QueryCanceled"))
                || message.contains("canceling statement due to statement timeout");
            if cancelled {
                let known = self.cancelled.get_or_insert_with(|| (location(), location(), 0));
                known.1 = location();
                known.2 += 1;
            }
        } else if let Some((count, "unhealthy threads detected")) = message.split_once(' ') {
            let threads = count.parse().unwrap_or(0);
            if threads > 0 && !stopping {
                self.unhealthy(event, location(), threads);
            }
        } else if let Some(rest) = message.strip_prefix("Running function ") {
            let Some((function, _)) = rest.split_once(" in unmanaged thread") else {
                return;
            };
            // This one runs in a thread whatever TASK_RUN_METHOD says.
            if function != "track_request" {
                let unmanaged = self.unmanaged.get_or_insert_with(|| Unmanaged {
                    first: location(),
                    functions: BTreeSet::new(),
                });
                if unmanaged.functions.len() < NAMES {
                    unmanaged.functions.insert(function.to_owned());
                }
            }
        } else if message.starts_with("Cannot schedule tasks to run in the future without task processor") {
            self.dropped.get_or_insert_with(|| (location(), 0)).1 += 1;
        } else if message.trim_start().starts_with("Applying ") && message.contains("... OK") {
            self.migrated
                .entry(event.source)
                .or_insert_with(|| (location(), 0))
                .1 += 1;
        } else if message.starts_with("Processor starting") {
            self.ended = None;
        } else if event.frames.thread && event.frames.coordinator {
            self.ended = event.last_exception().map(|last| LogLocation {
                line: last.line,
                class: last.class.clone(),
                message: last.message.clone(),
                ..location()
            });
        }
    }

    /// What the last failure of a task said, redacted.
    pub fn reason(&self, task: &str) -> Option<String> {
        let excerpt = self.failing.get(task)?.last.excerpt();
        let (_, reason) = excerpt.split_once(". Exception: ")?;
        Some(reason.trim_end_matches('.').to_owned())
    }

    fn failed(&mut self, rest: &str, event: &Event, location: impl Fn() -> LogLocation) {
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
            first: location(),
            last: location(),
        });
        failing.count += 1;
        failing.last = location();
        if failing.runs.len() < NAMES || failing.runs.contains_key(&id) {
            *failing.runs.entry(id).or_default() += 1;
        }
    }

    fn unhealthy(&mut self, event: &Event, location: LogLocation, threads: u64) {
        let gap = |last: &Unhealthy| {
            event
                .time
                .zip(last.last.time)
                .map_or(0, |(now, last)| now.seconds_since(last))
        };
        match &mut self.unhealthy {
            Some(known) if gap(known) <= UNHEALTHY_QUIET_SECONDS => {
                known.last = location;
                known.warnings += 1;
                known.threads = known.threads.max(threads);
            }
            known => {
                *known = Some(Unhealthy {
                    first: location.clone(),
                    last: location,
                    warnings: 1,
                    threads,
                });
            }
        }
    }
}

/// The causes that many records show together.
pub fn conclude(case: &LogEvidence) -> Vec<Finding> {
    let tasks = &case.tasks;
    [
        cancelled(case, tasks).or_else(|| stuck(case, tasks)),
        failing(tasks),
        unmanaged(case, tasks),
        migrates(case, tasks),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stuck(case: &LogEvidence, tasks: &Tasks) -> Option<Finding> {
    let unhealthy = tasks.unhealthy.as_ref()?;
    if unhealthy.warnings < UNHEALTHY_WARNINGS {
        return None;
    }
    let end = |life: &ProcessTimeline| match life.stopping {
        Some((line, time)) if line > unhealthy.last.line => time,
        _ => life.last_time,
    };
    if quiet(case, &unhealthy.last, end) > UNHEALTHY_QUIET_SECONDS {
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
    let explained = Explanation::new(
        Code::TaskQueueStalled,
        format!("{threads} of the task processor did not come back for the next task, {seconds}, and still had not at the end of the log: stuck in a task or waiting for the database. What was picked up with that task waits behind it."),
        "See what they wait for: SELECT pid, state, wait_event_type, wait_event, now() - query_start, left(query, 80) FROM pg_stat_activity WHERE application_name NOT LIKE 'psql%' AND state <> 'idle'; and what is locked: SELECT task_identifier, count(*) FROM task_processor_task WHERE is_locked AND NOT completed GROUP BY 1; then restart the task processor. In 2.160.0 to 2.199.x one task over its time limit blocks its thread for ever: upgrade to 2.200.0 or later.",
    )
    .with(Severity::Warning);
    Some(Finding::new(
        explained,
        vec![unhealthy.first.clone(), unhealthy.last.clone()],
    ))
}

/// Seconds from what was seen last to the latest end of a process.
fn quiet(case: &LogEvidence, last: &LogLocation, end: impl Fn(&ProcessTimeline) -> Option<Moment>) -> i64 {
    let ends = case.sources.iter().filter_map(|source| end(&source.life));
    ends.max()
        .zip(last.time)
        .map_or(0, |(end, last)| end.seconds_since(last))
}

/// Each time the processor asks for tasks the server cancels the question: a table of millions of rows that nobody
/// cleans up (<https://github.com/Flagsmith/flagsmith/issues/4271>).
fn cancelled(case: &LogEvidence, tasks: &Tasks) -> Option<Finding> {
    let (first, last, count) = tasks
        .cancelled
        .as_ref()
        .filter(|(_, _, count)| *count >= CANCELLED)?;
    if quiet(case, last, |life| life.last_time) >= CANCELLED_QUIET_SECONDS {
        return None;
    }
    let explained = Explanation::new(
        Code::TaskQueueStalled,
        format!(
            "The task processor cannot read its queue: the server cancelled its question for the next tasks {}, because it took longer than statement_timeout allows. Most often the task table is too large, because finished tasks are not deleted, or has not been vacuumed.",
            phrasing::times(*count)
        ),
        "See how large it is: SELECT n_live_tup, n_dead_tup, last_autovacuum, pg_size_pretty(pg_total_relation_size(relid)) FROM pg_stat_user_tables WHERE relname LIKE 'task_processor_%'; with many dead rows: VACUUM ANALYZE task_processor_task; with many live ones see that ENABLE_CLEAN_UP_OLD_TASKS is not false, and delete finished ones in parts. Until then: ALTER ROLE ROLE SET statement_timeout = '5min'; and restart the task processor.",
    );
    Some(Finding::new(explained, vec![first.clone(), last.clone()]))
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
    let others = match worst.len() {
        1 => String::new(),
        2 => ", and another kind of task fails as well".to_owned(),
        kinds => format!(", and {} other kinds of task fail as well", kinds - 1),
    };
    let reason = tasks
        .reason(task)
        .map(|reason| format!(" Its last failure in this log: {reason}."))
        .unwrap_or_default();
    let lost = given_up(first);
    let given_up = match lost {
        0 => String::new(),
        1 => " One task was given up after its third attempt.".to_owned(),
        lost => format!(" {lost} tasks were given up after their third attempt."),
    };
    let explained = Explanation::new(
        Code::TasksFailing,
        format!(
            "The task {task} failed {} in this log{others}.{given_up}{reason}",
            phrasing::times(first.count)
        ),
        format!(
            "Read why: SELECT left(max(error_details), 2000) FROM task_processor_taskrun r JOIN task_processor_task t ON t.id = r.task_id WHERE t.task_identifier = '{0}' AND r.result = 'FAILURE'; when the reason is gone, queue them again: UPDATE task_processor_task SET num_failures = 0 WHERE task_identifier = '{0}' AND NOT completed AND num_failures >= 3;",
            task.replace('\'', "''")
        ),
    );
    Some(Finding::new(
        explained,
        worst
            .iter()
            .take(3)
            .map(|(_, failing)| failing.first.clone())
            .collect(),
    ))
}

fn unmanaged(case: &LogEvidence, tasks: &Tasks) -> Option<Finding> {
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
    if let Some((location, count)) = &tasks.dropped {
        what = format!(
            "{what} {} scheduled for later was dropped for ever.",
            if *count == 1 {
                "A task".to_owned()
            } else {
                format!("{count} tasks: what was")
            }
        );
        evidence.push(location.clone());
    }
    if evidence.is_empty() {
        return None;
    }
    let explained = Explanation::new(
        Code::TaskRunMethodUnset,
        format!(
            "The API does not hand its tasks to a task processor: TASK_RUN_METHOD is not TASK_PROCESSOR.{what} Such tasks are lost when the pod stops, are not retried, and scheduled changes never happen; a task processor that runs beside it has nothing to do."
        ),
        "Set TASK_RUN_METHOD=TASK_PROCESSOR on the API (on Helm taskProcessor.enabled=true does it), and run a task processor with the same database and release.",
    );
    Some(Finding::new(explained, evidence))
}

fn migrates(case: &LogEvidence, tasks: &Tasks) -> Option<Finding> {
    // In the output of Compose another service migrates: that one never comes up.
    let processor =
        |source: u16| case.sources.len() == 1 || case.life(source).is_some_and(|life| life.up > 0);
    let (_, (location, count)) = tasks
        .migrated
        .iter()
        .find(|(source, _)| case.component == Component::TaskProcessor && processor(**source))?;
    let migrations = if *count == 1 {
        "one migration".to_owned()
    } else {
        format!("{count} migrations")
    };
    let explained = Explanation::new(
        Code::TaskProcessorMigratesItself,
        format!(
            "The task processor applied {migrations} at its start: \"run-task-processor\" migrates since Flagsmith 2.178.0. Several replicas migrate at the same time, and a newer tag migrates the database under an older API."
        ),
        "Start it with the args [\"start\", \"task-processor\"] and command [\"flagsmith\"] (2.170.0 and later), and migrate in one Job before.",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}
