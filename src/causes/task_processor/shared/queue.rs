//! One queue and who works on it.

use super::processors::{Settings, processors};
use crate::{
    causes::{
        context::Context,
        steps::{age, tasks},
    },
    observe::{
        Observation, PodSummary, SecretState,
        database::{Queue, QueueProbe},
    },
    postgres::DatabaseIdentity,
    validate::Installation,
};

/// One queue and who works on it.
pub(crate) struct QueueContext<'a> {
    /// The installation.
    pub(crate) installation: &'a Installation,
    /// What was observed of it.
    pub(crate) observation: &'a Observation,
    /// The queue.
    pub(crate) queue: &'a Queue,
    /// Which database; `None` where its URL is not known.
    pub(crate) database: Option<&'a DatabaseIdentity>,
    /// Every pod of the task processor.
    pub(crate) processors: Vec<&'a PodSummary>,
    /// How the next of them will work; those that run may have been started with other settings.
    pub(crate) settings: Settings,
}

/// The queues that could be read.
pub(crate) fn queues<'a>(context: &Context<'a>) -> Vec<QueueContext<'a>> {
    let (installation, observation) = (context.installation, context.observation);
    let present = |state: Option<&'a SecretState<DatabaseIdentity>>| match state {
        Some(SecretState::Present(identity)) => Some(identity),
        _ => None,
    };
    let main = (&observation.queues.default, present(Some(&observation.secrets.database)));
    let separate = observation
        .queues
        .separate
        .iter()
        .map(|probe| (probe, present(observation.secrets.task_processor_database.as_ref())));
    std::iter::once(main)
        .chain(separate)
        .filter_map(|(probe, database)| match probe {
            QueueProbe::Seen(queue) => Some(QueueContext {
                installation,
                observation,
                queue,
                database,
                processors: processors(observation),
                settings: Settings::of(installation),
            }),
            _ => None,
        })
        .collect()
}

/// `more than 20 tasks ready, the oldest for more than a minute`; `None` where none waits.
pub(crate) fn waiting(queue: &Queue) -> Option<String> {
    let oldest = queue.oldest_ready?;
    Some(format!("{} ready, the oldest for {}", tasks(queue.ready), age(oldest)))
}

/// What waits for a processor that does not work, where the operator could read the queue.
pub(crate) fn waiting_anywhere(observation: &Observation) -> Option<String> {
    let queues = &observation.queues;
    match queues.separate.as_ref().unwrap_or(&queues.default) {
        QueueProbe::Seen(queue) => waiting(queue).map(|waiting| format!("database: {waiting}")),
        _ => None,
    }
}

impl QueueContext<'_> {
    /// `database` or, where there are two, which of them.
    pub(crate) fn source(&self) -> String {
        match self.database {
            Some(database) if self.observation.queues.separate.is_some() => format!("database {database}"),
            _ => "database".to_owned(),
        }
    }

    /// Pods whose container runs.
    pub(crate) fn running(&self) -> usize {
        self.processors.iter().filter(|pod| pod.started.is_some()).count()
    }

    /// Threads of all processors that run.
    pub(crate) fn threads(&self) -> usize {
        let running = self.processors.iter().filter(|pod| pod.started.is_some());
        running.map(|pod| usize::try_from(self.settings.of_pod(pod).threads).unwrap_or_default()).sum()
    }
}
