//! Commands and phrases that several causes give.

use crate::causes::log::{
    evidence::{LogEvidence, Occurrence},
    failure::{FailureDetails, Stage},
    phrasing::{progress, the_migration},
};

/// What is only a migration's failure while a process migrates.
pub(crate) const MIGRATE: &[Stage] = &[Stage::Migrate];

/// Says by its exit status whether migrations are left to apply.
pub(crate) const CHECK: &str = "flagsmith migrate --check";

/// The sessions that hold others up.
pub(crate) const BLOCKED: &str = "SELECT pid, pg_blocking_pids(pid), state, wait_event_type, left(query, 80) FROM pg_stat_activity \
     WHERE cardinality(pg_blocking_pids(pid)) > 0;";

/// The oldest transactions.
pub(crate) const OLDEST_TRANSACTIONS: &str = "SELECT pid, application_name, state, xact_start, left(query, 80) FROM pg_stat_activity \
     WHERE xact_start IS NOT NULL ORDER BY xact_start LIMIT 10;";

/// Indexes that PostgreSQL does not use.
pub(crate) const INVALID_INDEXES: &str = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid;";

/// The newest migrations that were applied.
pub(crate) const NEWEST_APPLIED: &str =
    "SELECT app, name, applied FROM django_migrations ORDER BY applied DESC LIMIT 20;";

/// Where the migration gets credentials of its own.
pub(crate) const OWN_CREDENTIALS: &str =
    "jobs.migrateDb.databaseUrl in the Helm chart, spec.database.migrationUrlFrom in the operator";

/// The command that takes migrations back, with a moment to replace.
pub(crate) const ROLL_BACK: &str =
    "python manage.py rollbackmigrationsappliedafter \"2026-01-31T00:00:00+00:00\"";

/// Where others may have met the same.
pub(crate) const ISSUES: &str = "https://github.com/Flagsmith/flagsmith/issues";

/// What an index that is built CONCURRENTLY leaves behind; other migrations are rolled back as a whole.
pub(crate) fn left(occurrence: &Occurrence) -> String {
    if occurrence.concurrent_index {
        format!(
            "it builds an index CONCURRENTLY, so an invalid one may be left ({INVALID_INDEXES} then DROP INDEX)"
        )
    } else {
        "nothing of this migration was applied".to_owned()
    }
}

/// The migration, what became of it, and how far the run was: `Migration users.0041_x failed. 3 migrations …`.
pub(crate) fn stopped(evidence: &LogEvidence, occurrence: &Occurrence, how: &str) -> String {
    format!("{} {how}.{}", the_migration(evidence, occurrence), progress(evidence, occurrence))
}

/// What a failure speaks of, where it is all in the first line of the message.
pub(crate) fn first_line(message: &str) -> FailureDetails {
    FailureDetails::default().object(message.lines().next().unwrap_or_default())
}
