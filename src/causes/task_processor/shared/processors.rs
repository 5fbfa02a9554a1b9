//! The pods of the task processor, and how they are set up.

use jiff::{SignedDuration, Timestamp};

use crate::{
    model::Component,
    observe::{Observation, PodSummary},
    validate::Installation,
};

/// How long a healthy processor may be silent beyond its sleep interval: every thread looks at one recurring task
/// between two batches, so that with a thread to spare the newest look is seconds old. A minute also covers a
/// restart of the container that no look at the pods has shown.
const SILENT: SignedDuration = SignedDuration::from_secs(60);

/// How a task processor works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Threads that run tasks, in each pod.
    pub(crate) threads: i32,
    /// How long a thread waits between two looks at the queue.
    pub(crate) sleep: SignedDuration,
}

impl Settings {
    /// What the installation sets: how the next pod will work.
    pub(crate) fn of(installation: &Installation) -> Self {
        let spec = &installation.task_processor;
        Self {
            threads: spec.threads,
            sleep: SignedDuration::from_millis(spec.sleep_interval_milliseconds.into()),
        }
    }

    /// How the processors that are ready work, of which the one counts that sleeps longest.
    pub(crate) fn running(installation: &Installation, observation: &Observation) -> Self {
        let next = Self::of(installation);
        let ready = processors(observation).into_iter().filter(|pod| pod.ready);
        ready.map(|pod| next.of_pod(pod)).max_by_key(|settings| settings.sleep).unwrap_or(next)
    }

    /// How a pod works that was perhaps started before the installation was changed.
    pub(crate) fn of_pod(self, pod: &PodSummary) -> Self {
        let sleep = pod.pace.sleep.map(|sleep| SignedDuration::from_millis(sleep.into()));
        Self { threads: pod.pace.threads.unwrap_or(self.threads), sleep: sleep.unwrap_or(self.sleep) }
    }

    /// How long a healthy processor may be silent that sleeps for so long between two looks.
    pub(crate) const fn silence(self) -> SignedDuration {
        SILENT.saturating_add(self.sleep.saturating_mul(2))
    }
}

/// Every pod of the task processor, also one that is ending: it may still hold tasks.
pub(crate) fn processors(observation: &Observation) -> Vec<&PodSummary> {
    observation.pods.iter().filter(|pod| pod.component == Some(Component::TaskProcessor)).collect()
}

/// Since when one of the processors could have taken tasks without a pause: the longest of those that are ready. What
/// a table has of a time before tells of somebody else's silence, or of an outage.
pub(crate) fn ready_since(observation: &Observation) -> Option<Timestamp> {
    processors(observation)
        .into_iter()
        .filter(|pod| pod.ready)
        .filter_map(|pod| Some(pod.started?.max(pod.ready_since.unwrap_or(Timestamp::MIN))))
        .min()
}

/// Whether at that time a processor had been ready for longer than this.
pub(crate) fn ready_for(observation: &Observation, at: Timestamp, least: SignedDuration) -> bool {
    ready_since(observation).is_some_and(|since| at.duration_since(since) > least)
}
