//! Which way the database has to go: forward to the wanted release, or first back from a newer one.

use jiff::Timestamp;

use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    flagsmith::{Release, upgrades},
    migration::restore::{Restore, restore},
    observe::{JobOutcome, JobState, Observation, SecretState},
    validate::{
        Installation, MigrationKey, RestorePlan, RollbackConsent, RollbackOrder, RollbackPlan, UndoFirst,
    },
};

/// Which way the database has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The wanted release is not older than the database, or nothing stands between the two: newer releases applied
    /// no migration, or theirs are undone.
    Forward,
    /// The user has confirmed that the migrations of a newer release are undone.
    Back(RollbackPlan),
    /// The user has confirmed that a backup takes the place of what is there.
    Restore(RestorePlan),
    /// The wanted release is older, and nothing may happen without the user's confirmation.
    Blocked(Undo),
}

/// What stands between the database and an older release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undo {
    /// The newest release that the database was migrated to.
    pub from: Release,
    /// When the newest migration was applied that the older release knows, as far as it was recorded.
    pub applied_after: Option<Timestamp>,
    /// How many migrations were applied since, as far as it was recorded.
    pub applied: Option<i32>,
}

/// Decides it from what is recorded in the status and by Jobs that the status does not know yet.
pub(crate) fn direction(installation: &Installation, observation: &Observation) -> Direction {
    let wanted = installation.release;
    if let Some(Restore::Due(plan)) = restore(installation, observation) {
        return Direction::Restore(plan);
    }
    let Some(newest) = observation.newest_migrated().filter(|newest| *newest > wanted) else {
        return Direction::Forward;
    };
    let mut undo = Undo { from: newest, applied_after: None, applied: Some(0) };
    let mut complete = false;
    // The release that the database is at afterwards.
    let mut left = None;
    for record in records(observation, wanted) {
        let is_older = record.release.is_none_or(|release| release <= wanted);
        if record.operation != MigrationOperation::Migrate || is_older {
            // What is older than this does not stand in the way any more.
            complete = is_older;
            // The user may have had more undone than that.
            left = record.release.filter(|_| record.operation == MigrationOperation::Migrate);
            break;
        }
        undo.applied = undo.applied.zip(record.applied).map(|(sum, more)| sum + more);
        undo.applied_after = record.last_applied_before;
        if record.from.is_some_and(|from| from <= wanted) {
            (complete, left) = (true, record.from);
            break;
        }
    }
    if !complete {
        undo.applied = None;
        undo.applied_after = None;
    }
    if undo.applied == Some(0) {
        return Direction::Forward;
    }
    let confirmed =
        installation.rollback.as_ref().filter(|confirmed| confirmed.from == newest && confirmed.to == wanted);
    let moment = |confirmed: &RollbackConsent| confirmed.applied_after.or(undo.applied_after);
    match confirmed.and_then(|confirmed| Some((confirmed, moment(confirmed)?))) {
        Some((confirmed, applied_after)) => {
            let stays =
                left == Some(wanted) && undo.applied_after.is_some_and(|recorded| recorded <= applied_after);
            let order = if confirmed.undo_first {
                RollbackOrder::UndoFirst(UndoFirst::Asked)
            } else if !(stays && was_applied(installation, observation)) {
                RollbackOrder::UndoFirst(UndoFirst::Unrecorded)
            } else if let Some(step) = upgrades::incompatible(wanted, newest) {
                RollbackOrder::UndoFirst(UndoFirst::Incompatible(step.what))
            } else {
                RollbackOrder::PodsFirst
            };
            Direction::Back(RollbackPlan { from: newest, to: wanted, applied_after, order })
        }
        None => Direction::Blocked(undo),
    }
}

/// Whether the wanted release's own migrations, by this very image, were applied on this database at some time.
pub(crate) fn was_applied(installation: &Installation, observation: &Observation) -> bool {
    let SecretState::Present(database) = &observation.secrets.migration_database else {
        return false;
    };
    let key = MigrationKey::migrate(installation, installation.release, database);
    let history = &observation.previous.migration_history;
    let mut applied = history.iter().filter(|record| record.result == MigrationResult::Applied);
    // What was applied before a backup took its place says nothing of what is there.
    let last = applied.find(|record| {
        record.operation == MigrationOperation::Restore
            || record.operation == MigrationOperation::Migrate && record.key.as_deref() == Some(key.as_str())
    });
    last.is_some_and(|record| record.operation == MigrationOperation::Migrate)
}

/// A migration that has succeeded.
struct Record {
    operation: MigrationOperation,
    /// Not known of some backups.
    release: Option<Release>,
    from: Option<Release>,
    applied: Option<i32>,
    last_applied_before: Option<Timestamp>,
}

/// Successful migrations of this database, the newest first.
fn records(observation: &Observation, wanted: Release) -> impl Iterator<Item = Record> {
    let history = &observation.previous.migration_history;
    let unrecorded = observation
        .jobs
        .iter()
        .filter(|job| job.outcome == JobOutcome::Complete && !history.iter().any(|known| is_of(known, job)))
        .filter_map(|job| {
            Some(Record {
                operation: job.operation,
                release: Some(job.release?),
                from: job.from,
                applied: None,
                last_applied_before: job.last_applied_before,
            })
        })
        // Only what stands in the way: what opens a way is worth nothing before it is recorded.
        .filter(move |record| {
            record.operation == MigrationOperation::Migrate && record.release > Some(wanted)
        });
    let database = match &observation.secrets.migration_database {
        SecretState::Present(identity) => Some(identity.to_string()),
        _ => None,
    };
    let recorded = history
        .iter()
        .filter(move |record| {
            record.result == MigrationResult::Applied
                && (record.database.is_none() || database.is_none() || record.database == database)
        })
        .filter_map(|record| {
            let release = record.version.parse().ok();
            let counts = release.is_some() || record.operation == MigrationOperation::Restore;
            counts.then(|| Record {
                operation: record.operation,
                release,
                from: record.from.as_ref().and_then(|from| from.parse().ok()),
                applied: record.applied,
                last_applied_before: record.last_applied_before.as_ref().map(|time| time.0),
            })
        });
    unrecorded.chain(recorded)
}

/// Whether a record speaks of this run of this Job: a name comes back when a migration is undone and done again.
pub(crate) fn is_of(record: &MigrationStatus, job: &JobState) -> bool {
    record.job.as_deref() == Some(job.name.as_str())
        && record.started.as_ref().map(|time| time.0.as_second()) == job.started.map(Timestamp::as_second)
}
