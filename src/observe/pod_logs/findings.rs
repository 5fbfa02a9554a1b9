//! What logs and Events of pods showed: plain data.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Component, Diagnosis};

/// How long a process that runs says nothing of a trouble that is over: three checks of its readiness, at each of which it
/// would meet one that lasts.
pub(crate) const SILENT: SignedDuration = SignedDuration::from_secs(30);

/// What close looks at the pods of one installation have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodLogFindings {
    /// Logs.
    pub logs: Vec<LogReading>,
    /// Warning Events of pods that are not ready.
    pub warnings: Vec<Warning>,
}

/// What the log of one run of a container showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReading {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Whose log it is.
    pub component: Component,
    /// Which run.
    pub run: Run,
    /// When it was read.
    pub at: Timestamp,
    /// What it showed, the most likely cause first.
    pub found: Vec<LogFinding>,
}

impl LogReading {
    /// Whether a process that goes on has not shown it again, as far as its log was read.
    #[must_use]
    pub fn is_silent_about(&self, finding: &LogFinding) -> bool {
        matches!(self.run, Run::Sample(_))
            && (finding.read < self.at || self.at.duration_since(finding.happened) >= SILENT)
    }
}

/// What a log showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFinding {
    /// When it was read last.
    pub read: Timestamp,
    /// When it happened last, by the log's own times; when it was read, where the log has none.
    pub happened: Timestamp,
    /// Whether it is a connection to the database that cannot be made, or breaks.
    pub of_connection: bool,
    /// What it is.
    pub diagnosis: Diagnosis,
}

/// A Warning Event about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The pod.
    pub pod: String,
    /// For example `Unhealthy`, `BackOff`.
    pub reason: String,
    /// The kubelet's words.
    pub message: String,
}

/// Which run of a container a log is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// The one that failed before this many restarts.
    Failed {
        /// How often the container was started again when it was read.
        restarts: i32,
    },
    /// The present one, not ready.
    Unready,
    /// The present one, ready: new lines since this time.
    Sample(Timestamp),
}
