//! What a look at the databases of an installation gives.

use super::{failure::ProbeFailure, queue::QueueProbe};

/// What a connection to the database gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseProbe {
    /// Not tried in this pass: switched off, or there is no usable URL.
    NotProbed,
    /// It answers.
    Reachable {
        /// `server_version_num`, for example 150018.
        version: i32,
        /// Whether it is a standby or refuses writes.
        read_only: bool,
    },
    /// It does not, and why.
    Failed(ProbeFailure),
}

/// What the task tables of one installation show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queues {
    /// In the main database.
    pub default: QueueProbe,
    /// In a separate one (`TASK_PROCESSOR_DATABASE_URL`), where there is one.
    pub separate: Option<QueueProbe>,
}
