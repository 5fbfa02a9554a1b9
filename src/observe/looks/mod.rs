//! Looks at the databases of installations, for which no pass waits: whoever may write a Secret names the server, and a
//! silent one would hold up everybody else's passes. A pass asks, goes on with the last answer, and is followed by
//! another one when there is a new answer.

mod answer;
mod entry;
mod look;
mod question;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::{
    sync::mpsc::Sender,
    time::{Instant, sleep_until},
};

use super::{
    database::{Databases, Target},
    freshness::FRESH_WHILE_FAILING,
    memory::Memory,
    trigger::{Trigger, Urgency},
};
use crate::{
    runtime::{backoff::jittered, cache::PerInstallation, clock, random},
    validate::Identity,
};
use answer::{Answer, Left, MigrationAnswer};
use entry::Entry;
pub use look::Look;
pub(super) use look::Seen;
use question::Subject;
pub(super) use question::{DueMigration, Processors, Question};

/// Looks at the databases of installations, each at its interval.
#[derive(Debug)]
pub struct DatabaseLooks(Arc<Looks>);

#[derive(Debug)]
struct Looks {
    databases: Databases,
    interval: Duration,
    /// Wakes an installation when there is an answer. `None`: whoever asks waits for it.
    wake: Option<Sender<Trigger>>,
    known: PerInstallation<Entry>,
}

impl DatabaseLooks {
    /// Looks at each database once in so long; sooner while something is wrong. Without `wake` every question waits for
    /// its answer.
    #[must_use]
    pub fn new(databases: Databases, interval: Duration, wake: Option<Sender<Trigger>>) -> Self {
        Self(Arc::new(Looks { databases, interval, wake, known: PerInstallation::default() }))
    }

    /// What is known; begins to look where that is not fresh, or sees to it that somebody will when it is no more.
    pub(super) async fn ask(&self, identity: &Identity, question: Question) -> Seen {
        let looks = &self.0;
        let subject = question.subject();
        if looks.wake.is_none() {
            let nothing = (None, Left::of_nothing(&subject));
            let answer = Box::pin(looks.look(&identity.namespace, &question, nothing)).await;
            return Entry::answered(answer).seen(&subject, Instant::now());
        }
        looks.known.entry(&identity.uid, |entry| {
            let now = Instant::now();
            if let Some(at) = entry.begins(&subject, now) {
                let look = |number| Arc::clone(looks).run(identity.clone(), question, number, at);
                entry.put_under_way(&subject, at, |number| tokio::spawn(look(number)));
            }
            entry.seen(&subject, now)
        })
    }

    /// Something has said since the last look that the databases cannot be used. Whether that is news.
    pub(super) fn doubt(&self, uid: &str, since: Timestamp) -> bool {
        self.0.known.update(uid, |entry| entry.doubt(since)).unwrap_or_default()
    }
}

impl Looks {
    /// Looks when it is time, and has a pass follow.
    async fn run(self: Arc<Self>, identity: Identity, question: Question, number: u64, at: Instant) {
        sleep_until(at).await;
        let subject = question.subject();
        let Some(before) = self.known.read(&identity.uid, |entry| entry.before(&subject, Instant::now()))
        else {
            return;
        };
        let answer = Box::pin(self.look(&identity.namespace, &question, before)).await;
        // What was deleted meanwhile is not remembered again.
        let taken = self.known.update(&identity.uid, |entry| entry.take(number, answer));
        if let (Some(true), Some(wake)) = (taken, &self.wake) {
            let installation = ObjectRef::new(&identity.name).within(&identity.namespace);
            // Without a receiver the operator is ending.
            wake.send(Trigger { installation, urgency: Urgency::Now }).await.ok();
        }
    }

    /// Asks what of the last answer does not hold any more.
    async fn look(
        &self,
        namespace: &str,
        question: &Question,
        before: (Option<Arc<Answer>>, Left),
    ) -> Answer {
        let subject = question.subject();
        let (before, left) = before;
        let before = before.as_deref().filter(|before| before.is_of(&subject));
        let mut answer = match before {
            Some(before) if left.databases != Some(Duration::ZERO) => before.clone(),
            before => self.look_at_databases(namespace, question, &subject, before).await,
        };
        answer.migration = match (&question.migration, &subject.migration) {
            (Some(migration), Some(subject)) => {
                let reachable = answer.sight.is_reachable();
                match answer.migration.take().filter(|known| known.holds(subject, reachable, Instant::now()))
                {
                    Some(known) => Some(known),
                    None => Some(self.look_ahead(namespace, question, migration, reachable).await),
                }
            }
            _ => None,
        };
        answer
    }

    async fn look_at_databases(
        &self,
        namespace: &str,
        question: &Question,
        subject: &Subject,
        before: Option<&Answer>,
    ) -> Answer {
        let began = clock::now();
        let target = Target {
            namespace,
            main: question.main.as_ref(),
            separate: question.separate.as_ref(),
            processors: question.running(),
        };
        let mut sight = self.databases.look(target, before.map(|before| &before.sight)).await;
        if let Some(before) = before.filter(|before| before.has_login_of(subject)) {
            sight.database = sight.database.or_known(&before.sight.database);
        }
        let fresh_for = if sight.is_good() { self.interval } else { self.interval.min(FRESH_WHILE_FAILING) };
        Answer {
            databases: subject.databases.clone(),
            at: Instant::now(),
            began,
            // Spread, so that installations do not all come at once.
            fresh_for: jittered(fresh_for, &mut random::rng()),
            sight,
            migration: before.and_then(|before| before.migration.clone()),
        }
    }

    /// Asks what a migration would meet. What cannot be reached as the one role is not reached as the other either.
    async fn look_ahead(
        &self,
        namespace: &str,
        question: &Question,
        migration: &question::Migration,
        reachable: bool,
    ) -> MigrationAnswer {
        let preflight = if migration.subject.asks_role && reachable {
            Some(self.databases.preflight(namespace, &migration.url, migration.subject.due).await)
        } else {
            None
        };
        let comparison = match &question.main {
            Some(main) if migration.subject.compares => {
                Some(self.databases.compare(namespace, main, &migration.url).await)
            }
            _ => None,
        };
        MigrationAnswer {
            subject: migration.subject.clone(),
            reachable,
            at: Instant::now(),
            fresh_for: jittered(migration.fresh_for, &mut random::rng()),
            preflight,
            comparison,
        }
    }
}

/// No pass has to come back for a look: it is followed by one.
impl Memory for DatabaseLooks {
    fn remembers(&self) -> (&'static str, usize) {
        ("databases", self.0.known.count())
    }

    fn forget(&self, uid: &str) {
        self.0.known.forget(uid);
    }
}

#[cfg(test)]
mod tests;
