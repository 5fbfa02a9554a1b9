//! What a migration would fail of, or wait for, found before it starts.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    flagsmith::upgrades,
    migration::{Direction, direction},
    observe::{JobOutcome, Observation, OtherSession, Preflight},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let Some(Ok(preflight)) = &observation.preflight else {
        return Vec::new();
    };
    let migrating = observation
        .jobs
        .iter()
        .any(|job| job.outcome == JobOutcome::Active);
    let mut found = Vec::new();
    if migrating {
        // Its own locks, and what it builds, are no obstacles.
        return found;
    }
    found.extend(invalid_index(preflight));
    if preflight.complete {
        found.extend(rights(preflight));
        found.extend(extension(installation, preflight));
        found.extend(preflight.holders.first().map(|holder| held(holder, preflight)));
        found.extend(newer(installation, observation, preflight));
        found.extend(defect(installation));
        found.extend(skipped(installation, observation));
    }
    found
}

fn rights(preflight: &Preflight) -> Option<Diagnosis> {
    let role = &preflight.role;
    let mut evidence = Vec::new();
    let mut remedies = Vec::new();
    match &preflight.schema {
        None => {
            evidence.push(format!(
                "database: role \"{role}\" may use no schema of its search_path"
            ));
            remedies.push(format!("GRANT USAGE, CREATE ON SCHEMA public TO \"{role}\";"));
        }
        Some(schema) if !preflight.creates_tables => {
            evidence.push(format!(
                "database: role \"{role}\" has no CREATE on schema {schema}"
            ));
            remedies.push(format!("GRANT CREATE ON SCHEMA {schema} TO \"{role}\";"));
        }
        Some(_) => {}
    }
    if preflight.history_unreadable {
        evidence.push(format!(
            "database: role \"{role}\" may not read django_migrations"
        ));
    }
    for owner in &preflight.owners {
        let others = match owner.tables {
            1 => String::new(),
            count => format!(" (and {} more of Flagsmith's tables)", count - 1),
        };
        evidence.push(format!(
            "database: {}{others} is owned by \"{}\"; the migration connects as \"{role}\"",
            owner.example, owner.name
        ));
        remedies.push(format!("REASSIGN OWNED BY \"{}\" TO \"{role}\";", owner.name));
    }
    if evidence.is_empty() {
        return None;
    }
    Some(diagnosis(
        Code::MigrationPermissionDenied,
        Severity::Critical,
        Component::Migrations,
        format!(
            "The database role \"{role}\" may not change the schema as a migration does; the migration has not been started."
        ),
        evidence,
        format!(
            "In this database, as a superuser: {} Or let the migration connect as the role that may: spec.database.migrationUrlFrom.",
            if remedies.is_empty() {
                format!("GRANT SELECT, INSERT, UPDATE, DELETE ON django_migrations TO \"{role}\";")
            } else {
                remedies.join(" ")
            }
        ),
    ))
}

fn extension(installation: &Installation, preflight: &Preflight) -> Option<Diagnosis> {
    let release = installation.release;
    if !upgrades::needs_hstore(release) || preflight.hstore || preflight.creates_extensions {
        return None;
    }
    Some(diagnosis(
        Code::MigrationExtensionUnavailable,
        Severity::Critical,
        Component::Migrations,
        format!("Flagsmith {release} creates the extension hstore, which role \"{}\" may not.", preflight.role),
        vec![format!(
            "database: hstore is not installed, and \"{}\" has no CREATE on the database",
            preflight.role
        )],
        "As a superuser: CREATE EXTENSION hstore; or set spec.version to 2.224.0 or later, which does not need it."
            .to_owned(),
    ))
}

fn held(holder: &OtherSession, preflight: &Preflight) -> Diagnosis {
    let OtherSession {
        pid,
        application,
        role,
        state,
        relation,
        ..
    } = holder;
    diagnosis(
        Code::LongTransactionOpen,
        Severity::Critical,
        Component::Migrations,
        format!(
            "A transaction that has been open for more than a minute holds a lock on table {relation}; a migration would wait for it, and every request on that table behind the migration. It starts when the transaction has ended."
        ),
        preflight
            .holders
            .iter()
            .map(|it| {
                format!(
                    "database: pid {}, application {:?}, role \"{}\", {}{}, lock on {}",
                    it.pid,
                    it.application,
                    it.role,
                    it.state,
                    it.since()
                        .map(|since| format!(", transaction open since {since:.0}"))
                        .unwrap_or_default(),
                    it.relation
                )
            })
            .collect(),
        format!(
            "Wait for it (a backup?), or end the session ({state}, application {application:?}, role \"{role}\"): SELECT pg_terminate_backend({pid});"
        ),
    )
}

fn invalid_index(preflight: &Preflight) -> Option<Diagnosis> {
    let first = preflight.invalid_indexes.first()?;
    Some(diagnosis(
        Code::InvalidIndexLeft,
        Severity::Warning,
        Component::Migrations,
        format!(
            "An interrupted migration has left the index {first}, which PostgreSQL keeps up to date and never uses; a unique one guards nothing."
        ),
        preflight
            .invalid_indexes
            .iter()
            .map(|index| format!("database: index {index} is not valid (pg_index.indisvalid)"))
            .collect(),
        format!(
            "If its migration has still to run: DROP INDEX CONCURRENTLY {first}; if django_migrations has it as applied: REINDEX INDEX CONCURRENTLY {first};"
        ),
    ))
}

/// A database that somebody else has migrated further. What the operator itself did is told by its records.
fn newer(installation: &Installation, observation: &Observation, preflight: &Preflight) -> Option<Diagnosis> {
    let number = preflight.history.task_processor.as_deref()?;
    let release = upgrades::at_least(number)?;
    let known = matches!(
        direction(installation, observation),
        Direction::Blocked(_) | Direction::Back(_)
    );
    if known || release <= installation.release {
        return None;
    }
    Some(diagnosis(
        Code::DowngradeBlocked,
        Severity::Critical,
        Component::Migrations,
        format!(
            "The database was migrated to {release} or later; {} does not know those migrations, and nothing would complain until data is lost.",
            installation.release
        ),
        vec![format!(
            "database: django_migrations has task_processor.{number}…, which came with {release}"
        )],
        format!("Set spec.version to {release} or later, or restore a backup of the older database."),
    ))
}

fn defect(installation: &Installation) -> Option<Diagnosis> {
    let release = installation.release;
    let defect = upgrades::defect(release)?;
    Some(diagnosis(
        Code::ReleaseHasKnownDefect,
        Severity::Warning,
        Component::Migrations,
        format!("Flagsmith {release} {}.", defect.what),
        vec![format!(
            "spec.version is {release}; it was corrected in {}",
            defect.corrected
        )],
        format!("Set spec.version to {} or later.", defect.corrected),
    ))
}

fn skipped(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let (from, to) = (observation.newest_migrated()?, installation.release);
    let changes = upgrades::skipped(from, to)?;
    let path: Vec<String> = [from]
        .into_iter()
        .chain(
            changes
                .iter()
                .filter(|change| change.stop && change.at < to)
                .map(|change| change.at),
        )
        .chain([to])
        .map(|release| release.to_string())
        .collect();
    Some(diagnosis(
        Code::UpgradeSkipsVersions,
        Severity::Info,
        Component::Migrations,
        format!(
            "The upgrade from {from} to {to} goes past {} minor releases at once. Flagsmith does not forbid that; every migration on the way runs in one Job.",
            to.minors_since(from).unwrap_or_default()
        ),
        changes
            .iter()
            .map(|change| format!("{}: {}", change.at, change.what))
            .collect(),
        format!(
            "Take a backup (spec.migrations.backup), and try it on a copy of the database. To see where something goes wrong, go in steps: {}.",
            path.join(" → ")
        ),
    ))
}
