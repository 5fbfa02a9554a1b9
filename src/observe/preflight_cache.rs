//! What a migration that is due would meet: looked at in depth, and often, only until it is applied.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;

use super::{
    database::{
        Comparison, Databases,
        preflight::Preflight,
        probe::{DatabaseProbe, ProbeFailure},
    },
    freshness::{FRESH, FRESH_WHILE_FAILING},
    memory::Memory,
    migrators,
    secrets::state::{SecretState, Secrets},
    workload::WorkloadState,
};
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationResult, MigrationStatus},
    postgres::DatabaseUrl,
    runtime::cache::PerInstallation,
    validate::{Database, Installation, MigrationKey},
};

/// What a migration would meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PreflightResult {
    /// What the role that migrates sees; `None` when there was nobody to ask.
    pub(super) preflight: Option<Result<Preflight, ProbeFailure>>,
    /// Whether `migrationUrlFrom` names the same database; `None` where that is plain, or no migration is due.
    pub(super) comparison: Option<Comparison>,
    /// A pod that is not the operator's and migrates the same database.
    pub(super) external_pod: Option<String>,
}

/// The last look for each installation.
#[derive(Debug, Default)]
pub(super) struct PreflightCache {
    known: PerInstallation<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    fresh_for: Duration,
    wanted: CacheKey,
    result: PreflightResult,
}

/// What was looked at for, and with what.
#[derive(Clone, Debug, PartialEq)]
struct CacheKey {
    migration: MigrationKey,
    /// The attempt that the user asked for.
    retry: Option<String>,
    due: bool,
    /// The newest migration that is recorded, applied or undone: what was seen before its end is not so any more.
    recorded: Option<MigrationStatus>,
    /// The hash of the credentials.
    credentials: Option<String>,
    /// Whether there was somebody to ask.
    reachable: bool,
}

/// What is known before the look.
#[derive(Clone, Copy)]
pub(super) struct Baseline<'a> {
    pub(super) previous: &'a FlagsmithDeploymentStatus,
    pub(super) workloads: [Option<&'a WorkloadState>; 2],
    pub(super) secrets: &'a Secrets,
    pub(super) url: Option<&'a DatabaseUrl>,
    pub(super) migration_url: Option<&'a DatabaseUrl>,
    pub(super) database: &'a DatabaseProbe,
}

impl CacheKey {
    fn of(installation: &Installation, migration: MigrationKey, due: bool, before: Baseline<'_>) -> Self {
        Self {
            migration,
            retry: installation.retry.clone(),
            due,
            recorded: before.previous.migration_history.first().cloned(),
            credentials: before.secrets.migration_hash.clone(),
            reachable: matches!(before.database, DatabaseProbe::Reachable { .. }),
        }
    }
}

impl PreflightCache {
    /// Looks, or uses the last look while it is fresh.
    pub(super) async fn look(
        &self,
        client: &Client,
        databases: Option<&Databases>,
        installation: &Installation,
        before: Baseline<'_>,
    ) -> PreflightResult {
        let SecretState::Present(identity) = &before.secrets.migration_database else {
            return PreflightResult::default();
        };
        let key = MigrationKey::migrate(installation, installation.release, identity);
        let due = !recorded(&key, before);
        let wanted = CacheKey::of(installation, key, due, before);
        let uid = &installation.identity.uid;
        let same = |known: &Known| (known.wanted == wanted).then_some(known.fresh_for);
        if let Some(known) = self.known.fresh(uid, same) {
            return known.result;
        }
        // Without a migration due the role that migrates has no reason to connect, when it is another one; and what
        // cannot be reached as the one role is not reached as the other either.
        let own_role = installation.database.migration_url() != installation.database.url();
        let preflight = match (databases, before.migration_url, before.database) {
            (Some(databases), Some(url), DatabaseProbe::Reachable { .. }) if due || !own_role => {
                Some(databases.preflight(url, due).await)
            }
            _ => None,
        };
        let comparison = if due && own_role { compare(databases, installation, before).await } else { None };
        let external_pod = if due && matches!(installation.database, Database::External { .. }) {
            migrators::running(client, installation).await
        } else {
            None
        };
        let result = PreflightResult { preflight, comparison, external_pod };
        // A failed migration waits for a person, who changes what was looked at for.
        let waits = !due
            || before
                .previous
                .migration
                .as_ref()
                .is_some_and(|migration| migration.result == MigrationResult::Failed);
        let known = Known {
            fresh_for: if waits { FRESH } else { FRESH_WHILE_FAILING },
            wanted,
            result: result.clone(),
        };
        self.known.put(uid.clone(), known);
        result
    }
}

impl Memory for PreflightCache {
    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    fn look_again(&self, uid: &str) {
        self.forget(uid);
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        self.known.fresh_until(uid, |known| known.fresh_for)
    }
}

/// Compares the database of the migrations with that of the pods, where their URLs name two.
async fn compare(
    databases: Option<&Databases>,
    installation: &Installation,
    before: Baseline<'_>,
) -> Option<Comparison> {
    let (SecretState::Present(one), SecretState::Present(other)) =
        (&before.secrets.database, &before.secrets.migration_database)
    else {
        return None;
    };
    let namespace = &installation.identity.namespace;
    if one.within(namespace) == other.within(namespace) {
        return None;
    }
    Some(match (databases, before.url, before.migration_url) {
        (Some(databases), Some(url), Some(migration_url)) => databases.compare(url, migration_url).await,
        (None, ..) => Comparison::Unknown("the operator does not look into databases".to_owned()),
        (Some(_), ..) => Comparison::Unknown("only the pods reach one of them".to_owned()),
    })
}

/// Whether status or annotations say that this migration has been applied.
fn recorded(key: &MigrationKey, before: Baseline<'_>) -> bool {
    let in_status = before.previous.migration.as_ref().is_some_and(|migration| {
        migration.key.as_deref() == Some(key.as_str()) && migration.result == MigrationResult::Applied
    });
    in_status
        || before
            .workloads
            .into_iter()
            .flatten()
            .any(|workload| workload.migration_key.as_deref() == Some(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{database, installation, minimal};

    /// What was seen while a rollback ran is not taken for what it has left.
    #[test]
    fn what_was_seen_before_a_migration_ended_is_looked_at_again() {
        let installation = installation(&minimal());
        let key = |previous: &FlagsmithDeploymentStatus| {
            let (secrets, probe) = (Secrets::unread(), DatabaseProbe::NotProbed);
            let before = Baseline {
                previous,
                workloads: [None, None],
                secrets: &secrets,
                url: None,
                migration_url: None,
                database: &probe,
            };
            let migration = MigrationKey::migrate(&installation, installation.release, &database());
            CacheKey::of(&installation, migration, true, before)
        };
        let mut status = FlagsmithDeploymentStatus::default();
        let before = key(&status);
        assert!(key(&status) == before);
        let undone = MigrationStatus { result: MigrationResult::Applied, ..MigrationStatus::default() };
        status.migration_history.insert(0, undone);
        assert!(key(&status) != before);
    }
}
