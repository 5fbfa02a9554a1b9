//! Short, read-only looks at databases, each at an interval, and what was seen in them before.

mod end_point;
mod failure;
mod limits;
mod login;
pub(super) mod preflight;
pub(super) mod probe;
mod queue;
mod rows;
mod session;
mod stream;
mod text;
mod tls;
mod wire;

use std::time::{Duration, Instant};

use jiff::Timestamp;
pub use queue::{
    Blocker, Connections, Held, Holder, LastRun, Lock, MOST_COUNTED, Queue, QueueProbe, Queues, Recurring,
    Runs, Sample, Written,
};
use session::Sessions;

use preflight::Preflight;
use probe::{DatabaseProbe, ProbeFailure, ProbeFailureKind, ReadOnly};

use super::{freshness::FRESH_WHILE_FAILING, memory::Memory};
use crate::{
    postgres::{DatabaseIdentity, DatabaseUrl},
    runtime::{cache::PerInstallation, metrics::Metrics},
};

/// The server's version, whether it follows another one, and where a setting comes from by which writes would fail.
const QUERY: &str = "SELECT current_setting('server_version_num')::int4, pg_is_in_recovery(), current_user::text, \
     (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only' AND setting = 'on')";

/// How long after a look that failed the next decides: longer than a server takes to accept one connection more, short
/// enough that an outage is named within seconds.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// What tells a database from all others: the number that its server drew when it was made, and its own there. Any role
/// may ask for them unless that was revoked.
const IDENTITY: &str = "SELECT (SELECT system_identifier FROM pg_control_system())::text, \
     (SELECT oid FROM pg_database WHERE datname = current_database())::text";

/// Whether two URLs lead to one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The servers say so.
    Same,
    /// They are two.
    Different,
    /// The servers could not be asked, and why.
    Unknown(String),
}

/// Looks at databases, each at its interval.
#[derive(Debug)]
pub struct Databases {
    sessions: Sessions,
    interval: Duration,
    metrics: Metrics,
    known: PerInstallation<Known>,
}

/// The last look at the databases of one installation.
#[derive(Clone, Debug)]
struct Known {
    good: bool,
    /// With what the main database was looked at.
    login: Option<u64>,
    cause: Cause,
    seen: (DatabaseProbe, Queues),
    history: [queue::History; 2],
}

/// What a look was for: another database or other processors need another look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Where the databases are.
    pub databases: Vec<DatabaseIdentity>,
    /// Containers of task processors, as pod and start time. One that ends leaves locks behind, which can be
    /// dated only by a look between its end and the start of the next.
    pub processors: Vec<(String, Option<Timestamp>)>,
}

impl Databases {
    /// Looks at each database once in so long; sooner while something is wrong.
    #[must_use]
    pub fn new(interval: Duration, metrics: Metrics) -> Self {
        Self { sessions: Sessions::default(), interval, metrics, known: PerInstallation::default() }
    }

    /// Looks at databases on this machine too. For tests: whoever may write a URL could otherwise have the operator
    /// ask what listens beside it.
    #[must_use]
    pub fn allowing_loopback(mut self) -> Self {
        self.sessions.allow_loopback();
        self
    }

    /// What the databases of an installation show, at most one interval old.
    pub async fn look(
        &self,
        uid: &str,
        main: Option<&DatabaseUrl>,
        separate: Option<&DatabaseUrl>,
        processors: Vec<(String, Option<Timestamp>)>,
    ) -> (DatabaseProbe, Queues) {
        let cause = Cause {
            databases: main.iter().chain(&separate).map(|url| url.identity.clone()).collect(),
            processors,
        };
        let login = main.map(DatabaseUrl::fingerprint);
        let same = |known: &Known| {
            (known.cause == cause && known.login == login).then(|| self.fresh_for(known.good))
        };
        if let Some(known) = self.known.fresh(uid, same) {
            return known.seen;
        }
        let running = cause.processors.iter().filter(|(_, started)| started.is_some()).count();
        let running = i32::try_from(running).unwrap_or(i32::MAX);
        let before = self.known.get(uid).filter(|known| known.cause.databases == cause.databases);
        // Where nothing was seen before, as after a restart of the operator, processors that run say that it worked.
        let trusted = before.as_ref().map_or(running > 0, |known| !fails(&known.seen));
        let known = before.as_ref().filter(|known| known.login == login).map(|known| known.seen.0.clone());
        let (held, history) = before.map(|known| (known.seen.1.held, known.history)).unwrap_or_default();
        let once = |history| Box::pin(self.look_once(main, separate, running, history));
        let (mut seen, history) =
            confirmed(trusted, once(history.clone()), once(history), |(seen, _)| fails(seen)).await;
        if seen.1.held.is_none() {
            seen.1.held = held;
        }
        if let Some(known) = known {
            seen.0 = seen.0.or_known(&known);
        }
        let known = Known {
            good: matches!(
                seen.0,
                DatabaseProbe::Reachable { read_only: None, .. } | DatabaseProbe::NotProbed
            ) && !matches!(seen.1.separate, Some(QueueProbe::Failed(_))),
            login,
            cause,
            seen: seen.clone(),
            history,
        };
        self.known.put(uid.to_owned(), known);
        seen
    }

    async fn look_once(
        &self,
        main: Option<&DatabaseUrl>,
        separate: Option<&DatabaseUrl>,
        processors: i32,
        mut history: [queue::History; 2],
    ) -> ((DatabaseProbe, Queues), [queue::History; 2]) {
        let [main_history, separate_history] = &mut history;
        let (database, default) = match main {
            Some(url) => self.see(url, processors, main_history).await,
            None => (DatabaseProbe::NotProbed, QueueProbe::NotProbed),
        };
        let separate = match separate {
            Some(url) => Some(match self.see(url, processors, separate_history).await {
                (DatabaseProbe::Failed(failure), _) => QueueProbe::Failed(failure),
                (_, queue) => queue,
            }),
            None => None,
        };
        let held = match &default {
            QueueProbe::Seen(queue) => queue.held(),
            _ => None,
        };
        let queues = Queues { default, separate, held };
        ((database, queues), history)
    }

    /// Looks at a database as the role that migrates it; in depth when a migration is due.
    pub async fn preflight(&self, url: &DatabaseUrl, due: bool) -> Result<Preflight, ProbeFailure> {
        let (mut session, takes_options) = match self.sessions.open_with_option(url).await {
            Err(failure) if failure.kind == ProbeFailureKind::PoolerRejectsOptions => {
                (self.sessions.open(url).await?, false)
            }
            opened => (opened?, true),
        };
        let preflight = preflight::ask(&mut session, due).await?;
        session.close().await;
        Ok(Preflight { takes_options, ..preflight })
    }

    /// Whether two URLs lead to one database, by what its server says of itself: behind a pooler the hosts differ. A
    /// server that was copied as a whole, file by file, says the same as its original.
    pub async fn compare(&self, one: &DatabaseUrl, other: &DatabaseUrl) -> Comparison {
        let mut said = Vec::new();
        for url in [one, other] {
            match self.server_identity(url).await {
                Ok(identity) => said.push(identity),
                Err(failure) => {
                    let identity = &url.identity;
                    return Comparison::Unknown(format!(
                        "{identity} does not say which one it is: {}",
                        failure.message
                    ));
                }
            }
        }
        match said.as_slice() {
            [one, other] if one == other => Comparison::Same,
            _ => Comparison::Different,
        }
    }

    async fn server_identity(&self, url: &DatabaseUrl) -> Result<(String, String), ProbeFailure> {
        let mut session = self.sessions.open(url).await?;
        let identity = session.one(IDENTITY).await?;
        session.close().await;
        Ok(identity)
    }

    /// Whether the last look showed a database that cannot be used.
    #[must_use]
    pub fn failing(&self, uid: &str) -> bool {
        self.known.read(uid, |known| !known.good).unwrap_or_default()
    }

    async fn see(
        &self,
        url: &DatabaseUrl,
        processors: i32,
        history: &mut queue::History,
    ) -> (DatabaseProbe, QueueProbe) {
        let begun = Instant::now();
        let mut database = DatabaseProbe::NotProbed;
        let looked = async {
            let mut session = self.sessions.open(url).await?;
            let (version, standby, role, setting): (i32, bool, String, Option<String>) =
                session.one(QUERY).await?;
            let read_only = if standby {
                Some(ReadOnly::Standby)
            } else {
                setting.map(|source| ReadOnly::Setting { source, role })
            };
            database = DatabaseProbe::Reachable { version, read_only };
            let queue = queue::read(&mut session, Timestamp::now()).await?;
            session.close().await;
            Ok(queue)
        }
        .await;
        let failure = looked.as_ref().err().map(|failure: &ProbeFailure| failure.kind.as_str());
        self.metrics.database_probe(begun.elapsed(), failure);
        match looked {
            Ok(QueueProbe::Seen(mut queue)) => {
                queue.processors = processors;
                queue.before = history.samples();
                history.push(&queue);
                (database, QueueProbe::Seen(queue))
            }
            Ok(other) => (database, other),
            // The server answered; only its task tables did not.
            Err(failure) if database != DatabaseProbe::NotProbed => (database, QueueProbe::Failed(failure)),
            Err(failure) => (DatabaseProbe::Failed(failure), QueueProbe::NotProbed),
        }
    }

    fn fresh_for(&self, good: bool) -> Duration {
        if good { self.interval } else { self.interval.min(FRESH_WHILE_FAILING) }
    }
}

impl Memory for Databases {
    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    /// What was seen before stays known: a rate needs two looks.
    fn look_again(&self, uid: &str) {
        self.known.update(uid, |known| {
            known.cause.processors.clear();
            known.good = false;
        });
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        self.known.fresh_until(uid, |known| self.fresh_for(known.good))
    }
}

/// Whether a look failed of something that may be gone a moment later.
fn fails((database, queues): &(DatabaseProbe, Queues)) -> bool {
    let of_queue =
        |queue: &QueueProbe| matches!(queue, QueueProbe::Failed(failure) if failure.kind.may_pass());
    matches!(database, DatabaseProbe::Failed(failure) if failure.kind.may_pass())
        || of_queue(&queues.default)
        || queues.separate.as_ref().is_some_and(of_queue)
}

/// What a look says, where one that failed of something that may pass is followed by another: of a healthy database one
/// look in many is lost or slow. Where the look before failed too it is not `trusted`, and one is enough.
async fn confirmed<T>(
    trusted: bool,
    look: impl Future<Output = T>,
    again: impl Future<Output = T>,
    is_doubtful: impl Fn(&T) -> bool,
) -> T {
    let first = look.await;
    if !trusted || !is_doubtful(&first) {
        return first;
    }
    tokio::time::sleep(SECOND_LOOK).await;
    again.await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    /// A look that gives what the next of these says.
    async fn told(raw: impl IntoIterator<Item = bool>, trusted: bool) -> bool {
        let raw = RefCell::new(raw.into_iter());
        let look = || async { raw.borrow_mut().next().unwrap_or(true) };
        confirmed(trusted, look(), look(), |good| !good).await
    }

    proptest! {
        /// Whatever looks are lost, as long as no two in a row are, nothing is said of the database; and an outage is
        /// said by the first look of it.
        #[test]
        fn one_lost_look_is_no_verdict(lost in prop::collection::vec(0_usize..5, 0..20)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let mut raw = lost.iter().flat_map(|good| std::iter::repeat_n(true, good + 1).chain([false]));
                for _ in 0..lost.len() {
                    assert!(told(&mut raw, true).await);
                }
                assert!(!told(std::iter::repeat(false), true).await);
                assert!(!told(std::iter::repeat(false), false).await);
                assert!(told([true], false).await);
            });
        }
    }
}
