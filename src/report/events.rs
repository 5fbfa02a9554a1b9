//! Events, for transitions only.

use kube::runtime::events::{Event, EventType};

use crate::{
    api::{FlagsmithDeploymentStatus, MigrationResult},
    apply::Applied,
};

/// The longest note that the Events API takes, in bytes.
const NOTE_LIMIT: usize = 1000;

/// The Events of one pass: what changed from one status to the next, and what was repaired.
pub(super) fn events(
    before: &FlagsmithDeploymentStatus,
    after: &FlagsmithDeploymentStatus,
    applied: &Applied,
) -> Vec<Event> {
    let mut events = Vec::new();
    let result =
        |status: &FlagsmithDeploymentStatus| status.migration.as_ref().map(|migration| migration.result);
    if result(before) != result(after)
        && let Some(migration) = &after.migration
    {
        let version = &migration.version;
        match migration.result {
            MigrationResult::Running => events.push(event(
                EventType::Normal,
                "MigrationStarted",
                "Migrate",
                format!(
                    "Job {} migrates the database to {version}",
                    migration.job.as_deref().unwrap_or_default()
                ),
            )),
            MigrationResult::Applied if result(before).is_some() => events.push(event(
                EventType::Normal,
                "MigrationSucceeded",
                "Migrate",
                format!("the database is migrated to {version}"),
            )),
            _ => {}
        }
    }
    for diagnosis in &after.diagnoses {
        let known = before
            .diagnoses
            .iter()
            .any(|old| old.code == diagnosis.code && old.component == diagnosis.component);
        if !known && diagnosis.severity != "Info" {
            events.push(event(
                EventType::Warning,
                &diagnosis.code,
                "Diagnose",
                diagnosis.message.clone(),
            ));
        }
    }
    let ready = |status: &FlagsmithDeploymentStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .map(|condition| condition.status.clone())
    };
    if ready(after).as_deref() == Some("True") && ready(before).as_deref() != Some("True") {
        events.push(event(
            EventType::Normal,
            "Available",
            "Reconcile",
            format!(
                "Flagsmith {} runs as asked for",
                after.version.as_deref().unwrap_or_default()
            ),
        ));
    }
    for object in &applied.repaired {
        events.push(event(
            EventType::Warning,
            "DriftRepaired",
            "Repair",
            format!("{object} had been changed and is again as the specification says"),
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
