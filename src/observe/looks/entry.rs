//! What is known of one installation, and which look is under way. Pure but for the task that it keeps.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::database::{Queues, probe::DatabaseProbe},
    answer::{Answer, Left},
    look::{Look, Seen},
    question::{DatabasesSubject, Subject},
};

/// What is known of one installation.
#[derive(Debug, Default)]
pub(super) struct Entry {
    answer: Option<Arc<Answer>>,
    /// Since when a question has had no answer.
    pending: Option<Instant>,
    /// When something said that the databases cannot be used.
    doubted: Option<Timestamp>,
    under_way: Option<UnderWay>,
    /// Tells looks apart.
    number: u64,
}

/// A look that is made, or that waits until it is time.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    subject: Subject,
    at: Instant,
    /// Ends with what is known of the installation.
    task: AbortOnDropHandle<()>,
}

impl Entry {
    /// Of somebody who waited.
    pub(super) fn answered(answer: Answer) -> Self {
        Self { answer: Some(Arc::new(answer)), ..Self::default() }
    }

    /// What a look that begins now goes by: the last answer, and what of it still holds.
    pub(super) fn before(&self, subject: &Subject, now: Instant) -> (Option<Arc<Answer>>, Left) {
        (self.answer.clone(), self.left(subject, now))
    }

    /// When a look has to begin; `None` where nothing is asked, or one is under way that will do.
    pub(super) fn begins(&mut self, subject: &Subject, now: Instant) -> Option<Instant> {
        let Some(wait) = self.left(subject, now).least() else {
            // Nobody is asked any more.
            self.under_way = None;
            return None;
        };
        let at = now + wait;
        let serves = self.under_way.as_ref().is_some_and(|under_way| under_way.serves(subject, at, now));
        (!serves).then_some(at)
    }

    /// Keeps the look that begins then, in place of any other.
    pub(super) fn put_under_way(
        &mut self,
        subject: &Subject,
        at: Instant,
        begin: impl FnOnce(u64) -> JoinHandle<()>,
    ) {
        self.number += 1;
        let task = AbortOnDropHandle::new(begin(self.number));
        self.under_way = Some(UnderWay { number: self.number, subject: subject.clone(), at, task });
    }

    /// Takes the answer of a look, unless another one has taken its place.
    pub(super) fn take(&mut self, number: u64, answer: Answer) -> bool {
        let Some(under_way) = self.under_way.take_if(|under_way| under_way.number == number) else {
            return false;
        };
        // It has yet to say so.
        drop(under_way.task.detach());
        self.answer = Some(Arc::new(answer));
        true
    }

    /// Something has said then that the databases cannot be used. Whether that is later than the last look.
    pub(super) fn doubt(&mut self, at: Timestamp) -> bool {
        let news = self.answer.as_ref().is_some_and(|answer| answer.began < at) && self.doubted < Some(at);
        if news {
            self.doubted = Some(at);
        }
        news
    }

    fn left(&self, subject: &Subject, now: Instant) -> Left {
        let Some(answer) = &self.answer else {
            return Left::of_nothing(subject);
        };
        let left = answer.left(subject, now);
        let doubted = self.doubted.is_some_and(|at| answer.began < at);
        if doubted { Left { databases: left.databases.map(|_| Duration::ZERO), ..left } } else { left }
    }

    /// The last answer, and how it stands to the question.
    pub(super) fn seen(&mut self, subject: &Subject, now: Instant) -> Seen {
        let left = self.left(subject, now);
        let answer = self.answer.as_deref();
        let of_databases = answer.filter(|answer| subject.asks_databases() && answer.is_of(subject));
        let of_migration = answer
            .and_then(|answer| answer.migration.as_ref())
            .filter(|known| subject.migration.as_ref() == Some(&known.subject));
        // A migration that is due waits for its own answer; what else the role that migrates sees is worth no wait.
        let due = subject.migration.as_ref().is_some_and(|migration| migration.due);
        let missing = (subject.asks_databases() && of_databases.is_none()) || (due && of_migration.is_none());
        let past = [left.databases, left.migration.filter(|_| due)].contains(&Some(Duration::ZERO));
        let look = if missing {
            Look::Pending(now - *self.pending.get_or_insert(now))
        } else {
            self.pending = None;
            if past { Look::Stale } else { Look::Fresh }
        };
        Seen {
            look,
            database: of_databases.map_or(DatabaseProbe::NotProbed, |answer| answer.sight.database.clone()),
            queues: of_databases.map_or_else(Queues::default, |answer| answer.sight.queues.clone()),
            good: of_databases.is_none_or(|answer| answer.sight.is_good()),
            preflight: of_migration.and_then(|known| known.preflight.clone()),
            comparison: of_migration.and_then(|known| known.comparison.clone()),
        }
    }
}

impl UnderWay {
    /// Whether no other one is needed. What has begun is not begun again for anything but another URL: a question that
    /// changes faster than a server answers would never be answered.
    fn serves(&self, subject: &Subject, at: Instant, now: Instant) -> bool {
        let with = |subject: &Subject| {
            let DatabasesSubject { databases, logins, .. } = &subject.databases;
            (databases.clone(), logins.clone(), subject.migration.as_ref().map(|migration| migration.login))
        };
        if self.task.is_finished() {
            return false;
        }
        if self.at <= now {
            with(&self.subject) == with(subject)
        } else {
            self.subject == *subject && self.at <= at
        }
    }
}
