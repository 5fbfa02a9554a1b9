//! One look at a queue, reduced to what rates and dates need.

use jiff::{SignedDuration, Timestamp};

/// One look at a queue, reduced to what rates and dates need.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Containers of task processors that ran.
    pub processors: i32,
    /// The database's newest transaction id then: what was written by an older one was written before.
    pub xid: i64,
    /// Tasks that were ready; a lower bound when `capped`.
    pub ready: i64,
    /// More were ready than are counted.
    pub capped: bool,
    /// How long the oldest had been ready.
    pub oldest_ready: Option<SignedDuration>,
    /// When a processor had last looked for work, by the operator's clock.
    pub picked: Option<Timestamp>,
}
