//! A wanted release that is older than the database.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    api::MigrationResult,
    flagsmith::Release,
    observe::Observation,
    validate::{ALLOW_DOWNGRADE_ANNOTATION, Installation},
};

pub(super) fn check(installation: &Installation, seen: &Observation) -> Option<Diagnosis> {
    let wanted = installation.release;
    let newest = newest_migrated(seen)?;
    if wanted >= newest || installation.allow_downgrade == Some(wanted) {
        return None;
    }
    let identity = &installation.identity;
    Some(diagnosis(
        Code::DowngradeBlocked,
        Severity::Critical,
        Component::Migrations,
        format!(
            "The database was migrated to {newest}; {wanted} does not know those migrations, and nothing would complain until data is lost. What runs goes on running."
        ),
        vec![format!(
            "spec.version is {wanted}; the Deployments and the status say that {newest} was migrated to"
        )],
        format!(
            "Set spec.version to {newest} or later. To go back all the same, undo the newer migrations first, with an image of {newest}: flagsmith rollbackmigrationsappliedafter \"<time before the upgrade>\", then: kubectl -n {} annotate fsd {} {ALLOW_DOWNGRADE_ANNOTATION}={wanted}",
            identity.namespace, identity.name,
        ),
    ))
}

/// The newest release that this database is known to have been migrated to.
fn newest_migrated(seen: &Observation) -> Option<Release> {
    let annotated = [&seen.api, &seen.task_processor]
        .into_iter()
        .flatten()
        .filter_map(|workload| workload.migrated);
    let recorded = seen
        .previous
        .migration
        .iter()
        .filter(|migration| migration.result == MigrationResult::Applied)
        .filter_map(|migration| migration.version.parse().ok());
    annotated.chain(recorded).max()
}
