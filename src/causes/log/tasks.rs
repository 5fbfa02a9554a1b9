//! What many records say together of tasks: threads that do not come back, tasks that fail, tasks in the wrong place.

use std::collections::{BTreeMap, BTreeSet};

use super::location::LogLocation;
use super::quoted::{LOOP, RETRIEVING};
use super::recurring::is_cancelled;
use crate::{
    flagsmith::INTERRUPTED,
    logs::event::{Event, Level},
};

/// Seconds without a warning about unhealthy threads, one each second, after which the threads count as recovered.
pub(crate) const UNHEALTHY_QUIET_SECONDS: i64 = 3;
/// The most different names and task ids that are remembered.
const NAMES: usize = 64;

/// What the logs say about single tasks and threads.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// Kinds of tasks that failed, by name.
    pub(crate) failing: BTreeMap<String, Failing>,
    /// Threads that do not come back for the next task.
    pub(crate) unhealthy: Option<Unhealthy>,
    /// Functions that the API ran in threads of its own.
    pub(crate) unmanaged: Option<Unmanaged>,
    /// Tasks for later that the API dropped: the first, and how many.
    pub(crate) dropped: Option<(LogLocation, u64)>,
    /// Questions for the next tasks that the server cancelled.
    pub(crate) cancelled: Option<Cancelled>,
    /// Migrations that were applied, by the source that did it: the first, and how many.
    pub(crate) migrated: BTreeMap<u16, (LogLocation, u64)>,
    /// Where the thread that hands out tasks ended at its start.
    pub(crate) coordinator_ended: Option<LogLocation>,
}

/// A kind of task that failed.
#[derive(Debug)]
pub(crate) struct Failing {
    /// How often each task of it failed, by id.
    pub(crate) runs: BTreeMap<u64, u64>,
    /// How often all of them failed.
    pub(crate) count: u64,
    /// The first time.
    pub(crate) first: LogLocation,
    last: LogLocation,
}

/// Warnings about threads that do not come back, without a pause in between.
#[derive(Debug)]
pub(crate) struct Unhealthy {
    /// The first.
    pub(crate) first: LogLocation,
    /// The last.
    pub(crate) last: LogLocation,
    /// How many.
    pub(crate) warnings: u64,
    /// The most threads that one of them counts.
    pub(crate) threads: u64,
}

/// Functions that the API ran in threads of its own.
#[derive(Debug)]
pub(crate) struct Unmanaged {
    /// The first time.
    pub(crate) first: LogLocation,
    /// Their names.
    pub(crate) functions: BTreeSet<String>,
}

/// Questions for the next tasks that the server cancelled.
#[derive(Debug)]
pub(crate) struct Cancelled {
    /// The first.
    pub(crate) first: LogLocation,
    /// The last.
    pub(crate) last: LogLocation,
    /// How many.
    pub(crate) count: u64,
}

impl Tasks {
    /// Notes what a record says of a task; threads of a process that is `stopping` are not stuck.
    pub(crate) fn observe(&mut self, event: &Event, input: u16, stopping: bool) {
        let message = event.message.as_str();
        let location = || LogLocation::of(event, input);
        if let Some(rest) = message.strip_prefix("Failed to execute task '") {
            self.failed(rest, event, location);
        } else if message.starts_with(LOOP) || message.starts_with(RETRIEVING) {
            if is_cancelled(event) {
                let known = self.cancelled.get_or_insert_with(|| Cancelled {
                    first: location(),
                    last: location(),
                    count: 0,
                });
                known.last = location();
                known.count += 1;
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
                let unmanaged = self
                    .unmanaged
                    .get_or_insert_with(|| Unmanaged { first: location(), functions: BTreeSet::new() });
                if unmanaged.functions.len() < NAMES {
                    unmanaged.functions.insert(function.to_owned());
                }
            }
        } else if message.starts_with("Cannot schedule tasks to run in the future without task processor") {
            self.dropped.get_or_insert_with(|| (location(), 0)).1 += 1;
        } else if message.trim_start().starts_with("Applying ") && message.contains("... OK") {
            self.migrated.entry(event.source).or_insert_with(|| (location(), 0)).1 += 1;
        } else if message.starts_with("Processor starting") {
            self.coordinator_ended = None;
        } else if event.frames.thread && event.frames.coordinator {
            self.coordinator_ended = event.last_exception().map(|last| LogLocation {
                line: last.line,
                class: last.class.clone(),
                message: last.message.clone(),
                ..location()
            });
        }
    }

    /// What the last failure of a task said, redacted.
    pub(crate) fn reason(&self, task: &str) -> Option<String> {
        let excerpt = self.failing.get(task)?.last.excerpt();
        let (_, reason) = excerpt.split_once(". Exception: ")?;
        Some(reason.trim_end_matches('.').to_owned())
    }

    fn failed(&mut self, rest: &str, event: &Event, location: impl Fn() -> LogLocation) {
        let Some((task, rest)) = rest.split_once("', with id ") else {
            return;
        };
        if rest.contains(INTERRUPTED) || event.level.is_some_and(|level| level < Level::Warning) {
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
            event.time.zip(last.last.time).map_or(0, |(now, last)| now.seconds_since(last))
        };
        match &mut self.unhealthy {
            Some(known) if gap(known) <= UNHEALTHY_QUIET_SECONDS => {
                known.last = location;
                known.warnings += 1;
                known.threads = known.threads.max(threads);
            }
            known => {
                *known = Some(Unhealthy { first: location.clone(), last: location, warnings: 1, threads });
            }
        }
    }
}
