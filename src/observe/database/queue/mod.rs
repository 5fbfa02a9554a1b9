//! What the task tables show: who waits, who works, who fails.
//!
//! Flagsmith's own health check and `/processor/monitoring` count neither locked tasks nor failures, so they say
//! "fine" in the worst cases; the tables and the times in them do not.

mod history;
mod questions;
mod sample;
mod state;

pub(super) use history::History;
pub use sample::Sample;
pub use state::{
    Blocker, Connections, Held, Holder, LastRun, Lock, MOST_COUNTED, Queue, QueueProbe, Queues, Recurring,
    Runs, Written,
};

use jiff::Timestamp;

use super::{probe::ProbeFailure, session::Session};

/// Reads the task tables.
pub(super) async fn read(session: &mut Session, now: Timestamp) -> Result<QueueProbe, ProbeFailure> {
    Ok(questions::ask(session, now)
        .await?
        .map_or(QueueProbe::NoTables, |queue| QueueProbe::Seen(Box::new(queue))))
}
