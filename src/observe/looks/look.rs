//! What a pass is told of the databases. Plain data.

use std::time::Duration;

use super::super::database::{
    Comparison, Queues,
    preflight::Preflight,
    probe::{DatabaseProbe, ProbeFailure},
};

/// How an answer stands to what was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// It was given a moment ago, or nothing is asked.
    #[default]
    Fresh,
    /// It was given before something changed, or is older than it should be; the next one is under way. It is still what
    /// is known, but nothing that cannot be undone follows from it.
    Stale,
    /// There is none yet, and the question was asked so long ago.
    Pending(Duration),
}

/// The last answer.
#[derive(Clone, Debug)]
pub(in crate::observe) struct Seen {
    pub(in crate::observe) look: Look,
    pub(in crate::observe) database: DatabaseProbe,
    pub(in crate::observe) queues: Queues,
    /// Whether nothing speaks against the URLs.
    pub(in crate::observe) good: bool,
    /// What the role that migrates sees; `None` when there was nobody to ask.
    pub(in crate::observe) preflight: Option<Result<Preflight, ProbeFailure>>,
    /// Whether `migrationUrlFrom` names the same database; `None` where that is plain, or no migration is due.
    pub(in crate::observe) comparison: Option<Comparison>,
}
