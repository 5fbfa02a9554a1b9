//! What task tables show: plain data.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::sample::Sample;
use crate::observe::ProbeFailure;

/// What the task tables of one installation show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queues {
    /// In the main database.
    pub default: QueueProbe,
    /// In a separate one (`TASK_PROCESSOR_DATABASE_URL`), where there is one.
    pub separate: Option<QueueProbe>,
    /// Who held connections at the server of the main one when it was last asked: while it takes no other connection
    /// nobody can ask.
    pub held: Option<Held>,
}

/// Who held connections at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// When that was asked, by the operator's clock.
    pub at: Timestamp,
    /// How many there were.
    pub connections: Connections,
    /// The clients with most of them, the first with the most.
    pub holders: Vec<Holder>,
}

/// Connections of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its role.
    pub user: String,
    /// Its database.
    pub database: String,
    /// Its `application_name`; empty where it gives none, or the operator's role may not see it.
    pub application: String,
    /// Where it connects from; `None` where the operator's role may not see it.
    pub address: Option<IpAddr>,
    /// How many connections.
    pub connections: i64,
    /// Since when it has had fifty or more at every look.
    pub many_since: Option<Timestamp>,
}

/// Connections of one client from which on it is noted for how long it has had so many: fewer are no trouble for any
/// server.
const MANY: i64 = 50;

impl Held {
    /// The same with what was known at the look before.
    #[must_use]
    pub(crate) fn after(mut self, before: Option<&Self>) -> Self {
        for holder in self.holders.iter_mut().filter(|holder| holder.connections >= MANY) {
            let known = before.and_then(|before| before.holders.iter().find(|known| known.is(holder)));
            holder.many_since = known.and_then(|known| known.many_since).or(Some(self.at));
        }
        self
    }
}

impl Holder {
    fn is(&self, other: &Self) -> bool {
        let Self { user, database, application, address, .. } = self;
        (user, database, application, address)
            == (&other.user, &other.database, &other.application, &other.address)
    }
}

/// The most waiting tasks that are counted: enough to say "many", few enough to cost milliseconds.
pub const MOST_COUNTED: i64 = 10_000;

/// What one look at the task tables gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum QueueProbe {
    /// Not tried: probes are switched off, the database cannot be reached, or there is no usable URL.
    #[default]
    NotProbed,
    /// It failed, and why.
    Failed(ProbeFailure),
    /// The database has no task tables: it is not migrated yet.
    NoTables,
    /// What the tables show, and what they showed before.
    Seen(Box<Queue>),
}

/// The task tables of one database. Ages are by the database's clock and count back from `at`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    /// When it was read, by the operator's clock.
    pub at: Timestamp,
    /// Containers of task processors that ran.
    pub processors: i32,
    /// The database's newest transaction id then (64 bits).
    pub xid: i64,
    /// Tasks that a processor would take now; at most [`MOST_COUNTED`] + 1.
    pub ready: i64,
    /// How long the oldest of them has been ready.
    pub oldest_ready: Option<SignedDuration>,
    /// Tasks that were picked up and are not finished; at most [`MOST_COUNTED`] + 1.
    pub locked: i64,
    /// Some of them, the oldest first.
    pub locks: Vec<Lock>,
    /// Transactions whose time the tables tell, read only while tasks are locked.
    pub written: Vec<Written>,
    /// How long ago the newest task was queued.
    pub last_queued: Option<SignedDuration>,
    /// Recurring tasks; `None` when they could not be read.
    pub recurring: Option<Vec<Recurring>>,
    /// Kinds of tasks that ran within the last hour, as far back as the newest thousand runs.
    pub runs: Vec<Runs>,
    /// Tasks of the last hour that were given up after three attempts, by kind.
    pub given_up: Vec<(String, i64)>,
    /// Estimated rows of the task table.
    pub rows: i64,
    /// Bytes of the task table with its indexes.
    pub bytes: i64,
    /// Connections of the server; `None` when they could not be read.
    pub connections: Option<Connections>,
    /// Who has most of them, the first with the most.
    pub holders: Vec<Holder>,
    /// Sessions that others wait for, looked for only while nobody picks up tasks.
    pub blockers: Vec<Blocker>,
    /// What was seen before, the newest last; this look is not among it.
    pub before: Vec<Sample>,
}

/// A task that was picked up and is not finished. Nothing in its row says when, but the row was last written by
/// the transaction that picked it up, so its id dates it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    /// The task's id.
    pub id: i64,
    /// What kind of task it is.
    pub identifier: String,
    /// How long it may run; `None`: without limit.
    pub timeout: Option<SignedDuration>,
    /// How long it has been due.
    pub due: SignedDuration,
    /// The transaction that picked it up. Tasks with the same one are one batch, worked on by one thread.
    pub xid: i64,
}

/// A transaction that wrote the result of a run, which tells when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its id (64 bits).
    pub xid: i64,
    /// How long ago the last of its runs ended, just before it was written.
    pub ago: SignedDuration,
}

/// A recurring task.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurring {
    /// What kind of task it is.
    pub identifier: String,
    /// Switched off after four failures in a row (since 2.232.0).
    pub disabled: bool,
    /// Failures in a row.
    pub failures: i32,
    /// A processor holds it.
    pub locked: bool,
    /// How long ago a processor last looked at it: the processor's heartbeat.
    pub picked: Option<SignedDuration>,
    /// Its last run, if it is among the newest thousand.
    pub last: Option<LastRun>,
}

/// The last run of a recurring task.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    /// `None` while it runs, or when its processor died.
    pub succeeded: Option<bool>,
    /// How long ago it began.
    pub began: SignedDuration,
    /// The end of the error, redacted.
    pub error: Option<String>,
}

/// Runs of one kind of task within the last hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    /// What kind of task it is.
    pub identifier: String,
    /// How many there were.
    pub total: i64,
    /// How many of them failed.
    pub failed: i64,
    /// Whether the newest failed.
    pub last_failed: bool,
    /// How long ago the newest success ended.
    pub last_success: Option<SignedDuration>,
    /// How long a success takes, on average.
    pub takes: Option<SignedDuration>,
    /// The end of the newest error, redacted.
    pub error: Option<String>,
}

/// Connections of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// `max_connections`, or the limit of the role or of the database where that is lower.
    pub limit: i64,
    /// How many of `limit` are reserved for superusers.
    pub reserved: i64,
    /// Connections to every database of the server.
    pub used: i64,
}

impl Connections {
    /// How many others than superusers may have.
    #[must_use]
    pub const fn for_others(&self) -> i64 {
        self.limit.saturating_sub(self.reserved)
    }
}

/// A session that others wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its server process.
    pub pid: i32,
    /// Its `application_name`.
    pub application: String,
    /// For example `idle in transaction`.
    pub state: String,
    /// Its role.
    pub user: String,
    /// How long its transaction has been open, where the operator's role may see that.
    pub open: Option<SignedDuration>,
    /// How many sessions wait for it.
    pub waiting: i64,
}

impl Queue {
    /// How long ago any processor last looked for work. `None` when the tables cannot tell: no recurring task is
    /// registered, or every one is disabled or being run at this moment.
    #[must_use]
    pub fn heartbeat(&self) -> Option<SignedDuration> {
        let recurring = self.recurring.as_ref()?;
        let newest = recurring.iter().filter_map(|task| task.picked).min()?;
        recurring.iter().any(|task| !task.disabled && !task.locked).then_some(newest)
    }

    /// When any processor last looked for work, by the operator's clock, as far as the tables tell.
    #[must_use]
    pub fn picked(&self) -> Option<Timestamp> {
        self.at.checked_sub(self.heartbeat()?).ok()
    }

    /// Who holds connections at its server, as of this look.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        Some(Held { at: self.at, connections: self.connections?, holders: self.holders.clone() })
    }

    /// How long ago the newest task of any kind succeeded, if it is among the newest thousand.
    #[must_use]
    pub fn last_success(&self) -> Option<SignedDuration> {
        self.runs.iter().filter_map(|runs| runs.last_success).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(second: i64, connections: &[i64]) -> Held {
        let at = Timestamp::from_second(second).unwrap();
        let holder = |(number, connections): (usize, &i64)| Holder {
            user: number.to_string(),
            database: String::new(),
            application: String::new(),
            address: None,
            connections: *connections,
            many_since: None,
        };
        let holders = connections.iter().enumerate().map(holder).collect();
        Held { at, connections: Connections { limit: 100, reserved: 3, used: 90 }, holders }
    }

    #[test]
    fn since_when_a_client_has_had_many() {
        let since = |held: &Held| -> Vec<Option<i64>> {
            held.holders.iter().map(|it| it.many_since.map(Timestamp::as_second)).collect()
        };
        let first = held(10, &[MANY, MANY - 1, MANY]).after(None);
        assert_eq!(since(&first), [Some(10), None, Some(10)]);
        let second = held(20, &[MANY + 9, MANY, MANY - 1]).after(Some(&first));
        assert_eq!(since(&second), [Some(10), Some(20), None]);
        let third = held(30, &[MANY, MANY, MANY]).after(Some(&second));
        assert_eq!(since(&third), [Some(10), Some(20), Some(30)], "it was fewer meanwhile");
    }
}
