//! What was answered, and for how long it holds. Pure: the time is an argument.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    super::database::{Comparison, Sight, preflight::Preflight, probe::ProbeFailure},
    question::{DatabasesSubject, MigrationSubject, Subject},
};

/// What the databases of one installation showed.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) databases: DatabasesSubject,
    /// When it was there.
    pub(super) at: Instant,
    /// When it was asked for, by the clock of logs.
    pub(super) began: Timestamp,
    /// How long it is used.
    pub(super) fresh_for: Duration,
    pub(super) sight: Sight,
    pub(super) migration: Option<MigrationAnswer>,
}

/// What a migration would meet there.
#[derive(Clone, Debug)]
pub(super) struct MigrationAnswer {
    pub(super) subject: MigrationSubject,
    /// Whether there was somebody to ask.
    pub(super) reachable: bool,
    pub(super) at: Instant,
    pub(super) fresh_for: Duration,
    pub(super) preflight: Option<Result<Preflight, ProbeFailure>>,
    pub(super) comparison: Option<Comparison>,
}

/// For how long nothing has to be asked: zero where it is time, `None` where nothing is asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) databases: Option<Duration>,
    pub(super) migration: Option<Duration>,
}

impl Left {
    /// Without an answer everything that is asked is due.
    pub(super) fn of_nothing(subject: &Subject) -> Self {
        Self {
            databases: subject.asks_databases().then_some(Duration::ZERO),
            migration: subject.migration.as_ref().map(|_| Duration::ZERO),
        }
    }

    /// When the first of it is due.
    pub(super) fn least(self) -> Option<Duration> {
        self.databases.into_iter().chain(self.migration).min()
    }
}

impl Subject {
    /// Whether there is a database to ask.
    pub(super) const fn asks_databases(&self) -> bool {
        !self.databases.databases.is_empty()
    }
}

impl Answer {
    /// Whether it is about the same databases, with whatever login.
    pub(super) fn is_of(&self, subject: &Subject) -> bool {
        self.databases.databases == subject.databases.databases
    }

    /// Whether it was asked for with the same URLs.
    pub(super) fn has_login_of(&self, subject: &Subject) -> bool {
        self.databases.logins == subject.databases.logins
    }

    /// For how long it answers a question.
    pub(super) fn left(&self, subject: &Subject, now: Instant) -> Left {
        let nothing = Left::of_nothing(subject);
        let same = self.databases == subject.databases;
        let databases = if same { self.fresh_for.saturating_sub(now - self.at) } else { Duration::ZERO };
        let migration = match (&self.migration, &subject.migration) {
            (Some(known), Some(subject)) if known.subject == *subject => {
                known.fresh_for.saturating_sub(now - known.at)
            }
            _ => Duration::ZERO,
        };
        Left {
            databases: nothing.databases.map(|_| databases),
            migration: nothing.migration.map(|_| migration),
        }
    }
}

impl MigrationAnswer {
    /// Whether it need not be asked for again.
    pub(super) fn holds(&self, subject: &MigrationSubject, reachable: bool, now: Instant) -> bool {
        self.subject == *subject && self.reachable == reachable && now - self.at < self.fresh_for
    }
}
