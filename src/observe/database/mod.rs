//! Short, read-only looks at databases.

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

pub use queue::{
    Blocker, Connections, Held, Holder, LastRun, Lock, MOST_COUNTED, Queue, QueueProbe, Queues, Recurring,
    Runs, Sample, Written,
};
use session::Sessions;

use limits::{ANSWERING, ANSWERING_OF_NAMESPACE, SILENT, SILENT_OF_NAMESPACE};
use preflight::Preflight;
use probe::{DatabaseProbe, ProbeFailure, ProbeFailureKind, ReadOnly};

use crate::{
    postgres::DatabaseUrl,
    runtime::{clock, metrics::Metrics, turns::Turns},
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

/// Looks at databases: at so many at once over all, and so many of each namespace.
#[derive(Debug)]
pub struct Databases {
    sessions: Sessions,
    metrics: Metrics,
    answering: Turns,
    silent: Turns,
}

/// The databases of one installation.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Whose turn a look takes.
    pub namespace: &'a str,
    /// `DATABASE_URL`.
    pub main: Option<&'a DatabaseUrl>,
    /// `TASK_PROCESSOR_DATABASE_URL`, where it is another one.
    pub separate: Option<&'a DatabaseUrl>,
    /// Containers of task processors that run.
    pub processors: i32,
}

/// What the databases of one installation showed.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The main one.
    pub database: DatabaseProbe,
    /// The task tables.
    pub queues: Queues,
    history: [queue::History; 2],
}

impl Sight {
    /// Of one database, of which nothing else is known. For tests.
    #[cfg(test)]
    pub(super) fn of(database: DatabaseProbe) -> Self {
        Self { database, queues: Queues::default(), history: Default::default() }
    }

    /// Whether everything can be used, or nothing was asked.
    #[must_use]
    pub(super) const fn is_good(&self) -> bool {
        matches!(self.database, DatabaseProbe::Reachable { read_only: None, .. } | DatabaseProbe::NotProbed)
            && !matches!(self.queues.separate, Some(QueueProbe::Failed(_)))
    }

    /// Whether the main database lets the operator in.
    #[must_use]
    pub(super) const fn is_reachable(&self) -> bool {
        matches!(self.database, DatabaseProbe::Reachable { .. })
    }

    /// Whether it failed of something that may be gone a moment later.
    fn fails(&self) -> bool {
        self.failures().any(|failure| failure.kind.may_pass())
    }

    /// Whether a server took all the time that there is.
    fn is_silent(&self) -> bool {
        self.failures().any(|failure| failure.kind.is_silence())
    }

    fn failures(&self) -> impl Iterator<Item = &ProbeFailure> {
        let main = match &self.database {
            DatabaseProbe::Failed(failure) => Some(failure),
            _ => None,
        };
        let queues = std::iter::once(&self.queues.default).chain(&self.queues.separate);
        main.into_iter().chain(queues.filter_map(|queue| match queue {
            QueueProbe::Failed(failure) => Some(failure),
            _ => None,
        }))
    }
}

impl Databases {
    /// Looks at databases, and counts the looks.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self {
            sessions: Sessions::default(),
            metrics,
            answering: Turns::new(ANSWERING, ANSWERING_OF_NAMESPACE),
            silent: Turns::new(SILENT, SILENT_OF_NAMESPACE),
        }
    }

    /// Looks at databases on this machine too. For tests: whoever may write a URL could otherwise have the operator
    /// ask what listens beside it.
    #[must_use]
    pub fn allowing_loopback(mut self) -> Self {
        self.sessions.allow_loopback();
        self
    }

    /// What the databases show now, however long the turn for it takes to come. `before` is what the same ones showed
    /// last.
    pub async fn look(&self, target: Target<'_>, before: Option<&Sight>) -> Sight {
        // Where nothing was seen before, as after a restart of the operator, processors that run say that it worked.
        let trusted = before.map_or(target.processors > 0, |before| !before.fails());
        let once = |silent| {
            let history = before.map(|before| before.history.clone()).unwrap_or_default();
            Box::pin(self.look_once(target, silent, history))
        };
        let first = once(before.is_some_and(Sight::is_silent));
        let mut seen = confirmed(trusted, first, |first| once(first.is_silent()), Sight::fails).await;
        let held_before = before.and_then(|before| before.queues.held.as_ref());
        seen.queues.held = match seen.queues.held.take() {
            Some(held) => Some(held.after(held_before)),
            None => held_before.cloned(),
        };
        seen
    }

    async fn look_once(&self, target: Target<'_>, silent: bool, mut history: [queue::History; 2]) -> Sight {
        let Target { namespace, main, separate, processors } = target;
        let turns = if silent { &self.silent } else { &self.answering };
        let _turn = turns.wait(namespace).await;
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
        Sight { database, queues, history }
    }

    /// Looks at a database as the role that migrates it; in depth when a migration is due.
    pub async fn preflight(
        &self,
        namespace: &str,
        url: &DatabaseUrl,
        due: bool,
    ) -> Result<Preflight, ProbeFailure> {
        let _turn = self.answering.wait(namespace).await;
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
    pub async fn compare(&self, namespace: &str, one: &DatabaseUrl, other: &DatabaseUrl) -> Comparison {
        let _turn = self.answering.wait(namespace).await;
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
            let queue = queue::read(&mut session, clock::now()).await?;
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
}

/// What a look says, where one that failed of something that may pass is followed by another: of a healthy database one
/// look in many is lost or slow. Where the look before failed too it is not `trusted`, and one is enough.
async fn confirmed<T, A: Future<Output = T>>(
    trusted: bool,
    look: impl Future<Output = T>,
    again: impl FnOnce(&T) -> A,
    is_doubtful: impl Fn(&T) -> bool,
) -> T {
    let first = look.await;
    if !trusted || !is_doubtful(&first) {
        return first;
    }
    tokio::time::sleep(SECOND_LOOK).await;
    again(&first).await
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
        confirmed(trusted, look(), |_| look(), |good| !good).await
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
