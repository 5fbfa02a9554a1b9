//! A backup that a migration waits for.

use super::{Code, Component, Diagnosis, Severity, diagnosis, pods};
use crate::{
    api::RETRY_MIGRATION_ANNOTATION,
    migration::Step,
    observe::{JobOutcome, Observation},
    validate::{Installation, backup_name},
};

/// The component label of the backup Job's pods.
const LABEL: &str = "backup";

pub(super) fn check(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    installation.migrations.backup.as_ref()?;
    let step = Step::of(installation, observation)?;
    let name = backup_name(installation, &step.job);
    let job = observation.backups.iter().find(|job| job.name == name)?;
    let JobOutcome::Failed { reason, message } = &job.outcome else {
        return None;
    };
    let identity = &installation.identity;
    Some(diagnosis(
        Code::BackupFailed,
        Severity::Critical,
        Component::Migrations,
        format!(
            "The backup before the migration to {} has failed, so the migration was not started.",
            installation.release
        ),
        [format!("Job {}/{name}: {reason} {message}", identity.namespace)]
            .into_iter()
            .chain(pods::last_words(observation, LABEL))
            .collect(),
        format!(
            "Read its log: kubectl -n {0} logs job/{name} --tail=50. When the cause is mended: kubectl -n {0} annotate fsd {1} {RETRY_MIGRATION_ANNOTATION}=\"$(date +%s)\" --overwrite",
            identity.namespace, identity.name,
        ),
    ))
}
