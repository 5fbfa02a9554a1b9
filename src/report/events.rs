//! Events, for transitions only.
//!
//! The recorder counts an Event that it has seen instead of writing another, and keeps the first one's note; two are
//! the same when type, reason, action and both objects are. So a note either says nothing that differs from one time
//! to the next, or its Event names the second object that it is about.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

use super::condition::ConditionType;
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationOperation, MigrationResult},
    apply::{Applied, Repaired},
    model::Severity,
};

/// The longest note that the Events API takes, in bytes.
const NOTE_LIMIT: usize = 1000;

/// The Events of one pass: what changed from one status to the next, and what was repaired.
pub(super) fn events(
    namespace: &str,
    before: &FlagsmithDeploymentStatus,
    after: &FlagsmithDeploymentStatus,
    applied: &Applied,
) -> Vec<Event> {
    let mut events = Vec::new();
    let progress = |status: &FlagsmithDeploymentStatus| {
        let migration = status.migration.as_ref()?;
        Some((migration.job.clone(), migration.result))
    };
    if progress(before) != progress(after)
        && let Some(migration) = &after.migration
    {
        let version = &migration.version;
        let about_job = |reason: &str, note: String| Event {
            secondary: migration.job.clone().map(|job| ObjectReference {
                api_version: Some("batch/v1".to_owned()),
                kind: Some("Job".to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(job),
                ..ObjectReference::default()
            }),
            ..event(EventType::Normal, reason, "Migrate", note)
        };
        let job = migration.job.as_deref().unwrap_or_default();
        let [(started, does), (succeeded, done)] = match migration.operation {
            MigrationOperation::Migrate => [
                ("MigrationStarted", format!("Job {job} migrates the database to {version}")),
                ("MigrationSucceeded", format!("the database is migrated to {version}")),
            ],
            MigrationOperation::RollBack => [
                ("RollbackStarted", format!("Job {job} undoes the migrations that are newer than {version}")),
                ("RollbackSucceeded", format!("the migrations that are newer than {version} are undone")),
            ],
            MigrationOperation::Restore => [
                ("RestoreStarted", format!("Job {job} replaces what is in the database with a backup")),
                (
                    "RestoreSucceeded",
                    format!("Job {job} has replaced what was in the database with a backup"),
                ),
            ],
        };
        match migration.result {
            MigrationResult::Running => events.push(about_job(started, does)),
            MigrationResult::Applied if before.migration.is_some() => {
                events.push(about_job(succeeded, done));
            }
            _ => {}
        }
    }
    for diagnosis in &after.diagnoses {
        let known = before
            .diagnoses
            .iter()
            .any(|old| old.code == diagnosis.code && old.component == diagnosis.component);
        if !known && diagnosis.severity != Severity::Info.as_str() {
            events.push(event(EventType::Warning, &diagnosis.code, "Diagnose", diagnosis.message.clone()));
        }
    }
    let ready = |status: &FlagsmithDeploymentStatus| ConditionType::Ready.is_true(&status.conditions);
    if ready(after) && !ready(before) {
        events.push(event(
            EventType::Normal,
            "Available",
            "Reconcile",
            "Flagsmith runs as asked for".to_owned(),
        ));
    }
    for Repaired { object, changes } in &applied.repaired {
        let what = if changes.is_empty() { String::new() } else { format!(": {}", changes.join("; ")) };
        events.push(event(
            EventType::Warning,
            "DriftRepaired",
            "Repair",
            format!("{object} had been changed and is again as the specification says{what}"),
        ));
    }
    events
}

fn event(kind: EventType, reason: &str, action: &str, note: String) -> Event {
    let mut note = note;
    while note.len() > NOTE_LIMIT {
        note.pop();
    }
    Event {
        type_: kind,
        reason: reason.to_owned(),
        note: Some(note),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::MigrationStatus;

    fn migrated_to(version: &str, result: MigrationResult) -> FlagsmithDeploymentStatus {
        FlagsmithDeploymentStatus {
            migration: Some(MigrationStatus {
                version: version.to_owned(),
                job: Some(format!("flagsmith-migrate-{version}")),
                result,
                ..MigrationStatus::default()
            }),
            ..FlagsmithDeploymentStatus::default()
        }
    }

    #[test]
    fn two_migrations_are_two_events() {
        let job = |version| {
            let before = migrated_to(version, MigrationResult::Running);
            let after = migrated_to(version, MigrationResult::Applied);
            let events = events("apps", &before, &after, &Applied::default());
            let [event] = events.as_slice() else {
                panic!("one event, not {}", events.len());
            };
            assert_eq!(event.note, Some(format!("the database is migrated to {version}")));
            event.secondary.clone()
        };
        assert_ne!(job("2.260.0"), job("2.265.0"));
    }
}
