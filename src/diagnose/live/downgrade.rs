//! A wanted release that is older than the database.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::Observation,
    validate::{ALLOW_DOWNGRADE_ANNOTATION, Installation},
};

pub(super) fn check(installation: &Installation, seen: &Observation) -> Option<Diagnosis> {
    let wanted = installation.release;
    let newest = seen.newest_migrated()?;
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
