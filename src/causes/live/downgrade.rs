//! A wanted release that is older than the database.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    migration::{Direction, Undo, direction},
    observe::Observation,
    validate::Installation,
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    match direction(installation, observation) {
        Direction::Forward => None,
        Direction::Back(_) => Some(warning(installation)),
        Direction::Blocked(undo) => Some(blocked(installation, &undo)),
    }
}

/// Said before the migrations are undone, and while they are.
fn warning(installation: &Installation) -> Diagnosis {
    let to = installation.release;
    let from = installation
        .rollback
        .as_ref()
        .map_or(to, |confirmed| confirmed.from);
    diagnosis(
        Code::RollbackLosesData,
        Severity::Warning,
        Component::Migrations,
        format!(
            "The migrations of {from} are being undone before {to} is started: what was stored in the tables and columns that they made is lost, and pods of {from} may fail until they are replaced."
        ),
        vec![format!(
            "spec.migrations.rollback confirms it: from {from} to {to}"
        )],
        format!(
            "To stay at {from} instead: remove spec.migrations.rollback and set spec.version to {from}; what was undone by then is applied again, empty."
        ),
    )
}

fn blocked(installation: &Installation, undo: &Undo) -> Diagnosis {
    let (from, wanted) = (undo.from, installation.release);
    let identity = &installation.identity;
    let mut evidence = vec![format!(
        "spec.version is {wanted}; status, annotations or Jobs say that {from} was migrated to"
    )];
    if let (Some(applied), Some(after)) = (undo.applied, undo.applied_after) {
        evidence.push(format!(
            "status.migrationHistory: {applied} migrations were applied since, the last one before them at {after}"
        ));
    }
    let time = match undo.applied_after {
        Some(_) => String::new(),
        None => ",\"appliedAfter\":\"TIME\"".to_owned(),
    };
    let hint = match undo.applied_after {
        Some(_) => "",
        None => {
            " The operator has not recorded when the upgrade was: TIME is a moment after the last migration that stays (SELECT app, name, applied FROM django_migrations ORDER BY applied DESC LIMIT 20;)."
        }
    };
    diagnosis(
        Code::DowngradeBlocked,
        Severity::Critical,
        Component::Migrations,
        format!(
            "The database was migrated to {from}; {wanted} does not know those migrations, and nothing would complain until data is lost. What runs goes on running."
        ),
        evidence,
        format!(
            "Set spec.version to {from} or later. Or undo the newer migrations, and lose what was stored in the tables and columns that they made (analytics and task-processor databases of their own are not covered; take a backup): kubectl -n {} patch fsd {} --type merge -p '{{\"spec\":{{\"migrations\":{{\"rollback\":{{\"from\":\"{from}\",\"to\":\"{wanted}\"{time}}}}}}}}}'{hint}",
            identity.namespace, identity.name,
        ),
    )
}
