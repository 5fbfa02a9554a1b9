//! Whether jobs run, and why not: one file for each cause or closely related pair.
//!
//! A cause hides what follows from it: no processor, a processor that never runs a task, and a queue in which
//! nothing moves explain growing queues and locked tasks, which are then evidence and no diagnoses of their own.

mod bloat;
mod failing;
mod growing;
mod locks;
mod mismatch;
mod phrasing;
mod processor;
mod sleep;
mod stalled;
mod stuck;
#[cfg(test)]
mod tests;

use jiff::SignedDuration;

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::{
        Observation, PodSummary, SecretState,
        database::{Queue, QueueProbe},
    },
    postgres::DatabaseIdentity,
    validate::Installation,
};

pub(crate) use phrasing::age;

/// The component label of the task processor's pods.
const TASK_PROCESSOR: &str = "task-processor";

/// One queue and who works on it.
struct QueueContext<'a> {
    installation: &'a Installation,
    observation: &'a Observation,
    queue: &'a Queue,
    /// Which database; `None` where its URL is not known.
    database: Option<&'a DatabaseIdentity>,
    processors: Vec<&'a PodSummary>,
    settings: Settings,
}

/// How a task processor works.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// Threads that run tasks, in each pod.
    threads: i32,
    /// How long a thread waits between two looks at the queue.
    sleep: SignedDuration,
}

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let absent = processor::check(installation, observation);
    let nobody_works = !absent.is_empty();
    found.extend(absent);
    found.extend(mismatch::check(installation, observation));
    found.extend(sleep::check(installation, observation));
    for context in looks(installation, observation) {
        if !nobody_works {
            let stalled = stalled::check(&context);
            let moves = stalled.is_none();
            found.extend(stalled);
            if moves {
                found.extend(growing::check(&context));
            }
        }
        found.extend(stuck::check(&context));
        found.extend(failing::tasks(&context));
        found.extend(failing::disabled(&context));
        found.extend(bloat::check(&context));
    }
    found
}

/// How many tasks of a queue are locked while nobody works on them.
pub(crate) fn stuck(queue: &Queue, observation: &Observation) -> usize {
    locks::tell(queue, &processors(observation)).stuck.len()
}

/// The queues that could be read.
fn looks<'a>(installation: &'a Installation, observation: &'a Observation) -> Vec<QueueContext<'a>> {
    let present = |state: Option<&'a SecretState<DatabaseIdentity>>| match state {
        Some(SecretState::Present(identity)) => Some(identity),
        _ => None,
    };
    let main = (
        &observation.queues.default,
        present(Some(&observation.secrets.database)),
    );
    let separate = observation.queues.separate.iter().map(|probe| {
        (
            probe,
            present(observation.secrets.task_processor_database.as_ref()),
        )
    });
    let processors = processors(observation);
    std::iter::once(main)
        .chain(separate)
        .filter_map(|(probe, database)| match probe {
            QueueProbe::Seen(queue) => Some(QueueContext {
                installation,
                observation,
                queue,
                database,
                processors: processors.clone(),
                settings: settings(installation),
            }),
            _ => None,
        })
        .collect()
}

/// Every pod of the task processor, also one that is ending: it may still hold tasks.
fn processors(observation: &Observation) -> Vec<&PodSummary> {
    observation
        .pods
        .iter()
        .filter(|pod| pod.component == TASK_PROCESSOR)
        .collect()
}

fn settings(installation: &Installation) -> Settings {
    let spec = &installation.task_processor;
    Settings {
        threads: spec.threads,
        sleep: SignedDuration::from_millis(spec.sleep_interval_milliseconds.into()),
    }
}

fn of_tasks(
    code: Code,
    severity: Severity,
    message: String,
    evidence: Vec<String>,
    remedy: String,
) -> Diagnosis {
    diagnosis(
        code,
        severity,
        Component::TaskProcessor,
        message,
        evidence,
        remedy,
    )
}

impl QueueContext<'_> {
    /// `database` or, where there are two, which of them.
    fn source(&self) -> String {
        match self.database {
            Some(database) if self.observation.queues.separate.is_some() => format!("database {database}"),
            _ => "database".to_owned(),
        }
    }

    /// `more than 20 tasks ready, the oldest for more than a minute`, or nothing when none waits.
    fn waiting(&self) -> Option<String> {
        let oldest = self.queue.oldest_ready?;
        Some(format!(
            "{} ready, the oldest for {}",
            phrasing::tasks(self.queue.ready),
            age(oldest)
        ))
    }

    /// Whether a processor has been ready for so long that it must have looked at the queue.
    fn settled(&self, patience: SignedDuration) -> bool {
        self.processors.iter().any(|pod| {
            pod.ready
                && pod
                    .started
                    .is_some_and(|started| self.observation.now.duration_since(started) > patience)
        })
    }

    /// Threads of all processors that run.
    fn threads(&self) -> usize {
        let running = self.processors.iter().filter(|pod| pod.started.is_some()).count();
        running * usize::try_from(self.settings.threads).unwrap_or_default()
    }
}
