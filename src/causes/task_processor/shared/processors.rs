//! The pods of the task processor, and how they are set up.

use jiff::SignedDuration;

use crate::{
    observe::{Observation, PodSummary},
    validate::Installation,
};

/// The component label of the task processor's pods.
const TASK_PROCESSOR: &str = "task-processor";

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
    /// What the installation sets.
    pub(crate) fn of(installation: &Installation) -> Self {
        let spec = &installation.task_processor;
        Self {
            threads: spec.threads,
            sleep: SignedDuration::from_millis(spec.sleep_interval_milliseconds.into()),
        }
    }

    /// How long a healthy processor may be silent that sleeps for so long between two looks.
    pub(crate) const fn silence(self) -> SignedDuration {
        SILENT.saturating_add(self.sleep.saturating_mul(2))
    }
}

/// Every pod of the task processor, also one that is ending: it may still hold tasks.
pub(crate) fn processors(observation: &Observation) -> Vec<&PodSummary> {
    observation
        .pods
        .iter()
        .filter(|pod| pod.component == TASK_PROCESSOR)
        .collect()
}

/// Whether a processor has been ready for longer than this.
pub(crate) fn ready_for(observation: &Observation, least: SignedDuration) -> bool {
    processors(observation).iter().any(|pod| {
        pod.ready
            && pod
                .started
                .is_some_and(|started| observation.now.duration_since(started) > least)
    })
}
