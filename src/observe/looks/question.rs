//! What is asked about the databases of one installation.

use std::time::Duration;

use jiff::Timestamp;

use super::super::{
    database::Comparison,
    freshness::{FRESH, FRESH_WHILE_FAILING},
    secrets::{credentials::Credentials, state::SecretState},
    workload::WorkloadState,
};
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationResult, MigrationStatus},
    postgres::{DatabaseIdentity, DatabaseUrl},
    validate::{Installation, MigrationKey},
};

/// Containers of task processors, as pod and start time. One that ends leaves locks behind, which can be dated only by a
/// look between its end and the start of the next.
pub(in crate::observe) type Processors = Vec<(String, Option<Timestamp>)>;

/// What the databases of one installation are asked.
#[derive(Clone)]
pub(in crate::observe) struct Question {
    pub(super) main: Option<DatabaseUrl>,
    /// The separate one of the tasks.
    pub(super) separate: Option<DatabaseUrl>,
    pub(super) processors: Processors,
    pub(super) migration: Option<Migration>,
}

/// What a migration would meet.
#[derive(Clone)]
pub(super) struct Migration {
    pub(super) subject: MigrationSubject,
    /// What the Job connects with.
    pub(super) url: DatabaseUrl,
    /// How long an answer is used.
    pub(super) fresh_for: Duration,
}

/// What tells a question from another one; without secrets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subject {
    pub(super) databases: DatabasesSubject,
    pub(super) migration: Option<MigrationSubject>,
}

/// The same of what is asked of the databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatabasesSubject {
    /// Where they are.
    pub(super) databases: Vec<DatabaseIdentity>,
    /// With what the operator connects to them.
    pub(super) logins: Vec<u64>,
    pub(super) processors: Processors,
}

/// The same of what is asked for a migration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MigrationSubject {
    pub(super) key: MigrationKey,
    /// The attempt that the user asked for.
    pub(super) retry: Option<String>,
    pub(super) due: bool,
    /// The newest migration that is recorded, applied or undone: what was seen before its end is not so any more.
    pub(super) recorded: Option<MigrationStatus>,
    pub(super) login: u64,
    /// Whether the role that migrates is asked.
    pub(super) asks_role: bool,
    /// Whether it is asked if the URL leads to the database of the pods.
    pub(super) compares: bool,
}

impl Question {
    pub(in crate::observe) fn new(
        credentials: &Credentials,
        processors: Processors,
        migration: Option<&DueMigration>,
    ) -> Self {
        Self {
            main: credentials.url.clone(),
            separate: credentials.task_processor_url.clone(),
            processors,
            migration: migration.and_then(|migration| migration.question(credentials)),
        }
    }

    /// How many of the processors run.
    pub(super) fn running(&self) -> i32 {
        let running = self.processors.iter().filter(|(_, started)| started.is_some()).count();
        i32::try_from(running).unwrap_or(i32::MAX)
    }

    pub(super) fn subject(&self) -> Subject {
        let urls = || self.main.iter().chain(&self.separate);
        Subject {
            databases: DatabasesSubject {
                databases: urls().map(|url| url.identity.clone()).collect(),
                logins: urls().map(DatabaseUrl::fingerprint).collect(),
                processors: self.processors.clone(),
            },
            migration: self.migration.as_ref().map(|migration| migration.subject.clone()),
        }
    }
}

/// The migration to the wanted release, as far as it is known before anybody has looked.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::observe) struct DueMigration {
    pub(in crate::observe) key: MigrationKey,
    /// The attempt that the user asked for.
    pub(in crate::observe) retry: Option<String>,
    /// Whether it has not been applied yet.
    pub(in crate::observe) due: bool,
    /// The newest migration that is recorded.
    recorded: Option<MigrationStatus>,
    /// It waits for a person, who changes what is looked at for.
    failed: bool,
    login: Login,
}

/// With what a migration connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    /// What the pods connect with.
    OfPods,
    /// A URL of its own, to the same host, port and database.
    Own,
    /// A URL that names another one of these.
    Elsewhere,
}

impl DueMigration {
    /// `None` while the URL of the migrations is not known.
    pub(in crate::observe) fn of(
        installation: &Installation,
        credentials: &Credentials,
        previous: &FlagsmithDeploymentStatus,
        workloads: [Option<&WorkloadState>; 2],
    ) -> Option<Self> {
        let SecretState::Present(migrated) = &credentials.secrets.migration_database else {
            return None;
        };
        let key = MigrationKey::migrate(installation, installation.release, migrated);
        let namespace = &installation.identity.namespace;
        let login = match &credentials.secrets.database {
            _ if installation.database.migration_url() == installation.database.url() => Login::OfPods,
            SecretState::Present(database) if database.within(namespace) != migrated.within(namespace) => {
                Login::Elsewhere
            }
            _ => Login::Own,
        };
        Some(Self {
            due: !recorded(&key, previous, workloads),
            retry: installation.retry.clone(),
            recorded: previous.migration_history.first().cloned(),
            failed: previous
                .migration
                .as_ref()
                .is_some_and(|migration| migration.result == MigrationResult::Failed),
            login,
            key,
        })
    }

    /// How long what was seen for it is used.
    pub(in crate::observe) const fn fresh_for(&self) -> Duration {
        if self.due && !self.failed { FRESH_WHILE_FAILING } else { FRESH }
    }

    fn compares(&self) -> bool {
        self.due && self.login == Login::Elsewhere
    }

    /// Without a migration due the role that migrates has no reason to connect, when it is another one.
    fn question(&self, credentials: &Credentials) -> Option<Migration> {
        let url = credentials.migration_url.clone()?;
        let subject = MigrationSubject {
            key: self.key.clone(),
            retry: self.retry.clone(),
            due: self.due,
            recorded: self.recorded.clone(),
            login: url.fingerprint(),
            asks_role: self.due || self.login == Login::OfPods,
            compares: self.compares() && credentials.url.is_some(),
        };
        (subject.asks_role || subject.compares).then_some(Migration {
            subject,
            url,
            fresh_for: self.fresh_for(),
        })
    }

    /// Why its database cannot be compared with that of the pods, where nobody can be asked.
    pub(in crate::observe) fn incomparable(
        &self,
        credentials: &Credentials,
        probes: bool,
    ) -> Option<Comparison> {
        let why = match (probes, &credentials.url, &credentials.migration_url) {
            _ if !self.compares() => return None,
            (true, Some(_), Some(_)) => return None,
            (true, ..) => "only the pods reach one of them",
            (false, ..) => "the operator does not look into databases",
        };
        Some(Comparison::Unknown(why.to_owned()))
    }
}

/// Whether status or annotations say that this migration has been applied.
fn recorded(
    key: &MigrationKey,
    previous: &FlagsmithDeploymentStatus,
    workloads: [Option<&WorkloadState>; 2],
) -> bool {
    let in_status = previous.migration.as_ref().is_some_and(|migration| {
        migration.key.as_deref() == Some(key.as_str()) && migration.result == MigrationResult::Applied
    });
    in_status
        || workloads
            .into_iter()
            .flatten()
            .any(|workload| workload.migration_key.as_deref() == Some(key.as_str()))
}
