//! The fourth step: what should be done now. Pure.

mod gate;
mod key;
mod plan;
mod rollout;
mod timeouts;

pub use gate::{Gate, GateInput};
pub use key::{MIGRATE_COMMAND, MigrationKey, database_label};
pub use plan::{GeneratedSecret, Migrate, Migrated, Plan, Workload};
pub use timeouts::Timeouts;

use crate::{
    diagnose::Diagnosis,
    observe::{JobOutcome, Observation, SecretState},
    validate::{Database, Installation},
};

/// How many finished Jobs of other attempts are kept for their logs.
const KEPT_JOBS: usize = 2;

/// Decides what should be true after this pass.
#[must_use]
pub fn decide(installation: &Installation, seen: &Observation, diagnoses: &[Diagnosis]) -> Plan {
    let identity = match &seen.secrets.migration_database {
        SecretState::Present(identity) => Some(identity),
        _ => None,
    };
    let key = identity.map(|identity| MigrationKey::new(installation, installation.release, identity));
    let job_name = key.as_ref().map(|key| key.job_name(installation));
    let annotated: Vec<&str> = [&seen.api, &seen.task_processor]
        .into_iter()
        .flatten()
        .filter_map(|workload| workload.migration_key.as_deref())
        .collect();
    let gate = gate::decide(GateInput {
        key: key.as_ref(),
        job_name: job_name.as_deref(),
        annotated: &annotated,
        recorded: seen.previous.migration.as_ref(),
        jobs: &seen.jobs,
        blocked: diagnoses
            .iter()
            .map(|diagnosis| diagnosis.code)
            .find(|code| code.blocks_migration()),
        foreign: seen.foreign_migration.is_some(),
    });
    let rollout = rollout::decide(installation, seen, &gate, key.as_ref());
    let migrate = match (&gate, key.clone(), job_name.clone(), identity) {
        (Gate::Pending, Some(key), Some(name), Some(identity)) if rollout.processor_stopped => {
            Some(Migrate {
                name,
                key,
                release: installation.release,
                database: database_label(identity),
            })
        }
        _ => None,
    };
    Plan {
        timeouts: Timeouts::chain(
            installation.request_timeout,
            installation.api.gunicorn.keep_alive_seconds,
        ),
        migrate,
        superseded_jobs: superseded(seen, job_name.as_deref(), &gate),
        generate: generated(installation, seen),
        migrated: rollout.migrated,
        task_processor: rollout.task_processor,
        api: rollout.api,
        frontend: rollout.frontend,
        http_route: seen.http_route_api,
        gate,
        key,
    }
}

/// Finished Jobs of other attempts, except the newest few; only once the wanted migration is recorded, so that
/// no result is lost that was not written down.
fn superseded(seen: &Observation, current: Option<&str>, gate: &Gate) -> Vec<String> {
    if *gate != Gate::Succeeded {
        return Vec::new();
    }
    let mut finished: Vec<_> = seen
        .jobs
        .iter()
        .filter(|job| {
            job.outcome != JobOutcome::Active && !job.deleting && Some(job.name.as_str()) != current
        })
        .collect();
    finished.sort_by(|a, b| b.finished.cmp(&a.finished).then_with(|| a.name.cmp(&b.name)));
    finished
        .iter()
        .skip(KEPT_JOBS)
        .map(|job| job.name.clone())
        .collect()
}

/// Secrets are generated for an installation that has never run. Later a missing one is a loss to report: a new
/// key would end every session and make stored credentials unreadable, a new password would lock out the data.
fn generated(installation: &Installation, seen: &Observation) -> Vec<GeneratedSecret> {
    let fresh = |state: bool| state && !seen.has_run();
    let mut secrets = Vec::new();
    if installation.generates_django_secret && fresh(seen.secrets.django == SecretState::Missing) {
        secrets.push(GeneratedSecret::Django);
    }
    if matches!(installation.database, Database::Embedded { .. })
        && fresh(seen.secrets.database == SecretState::Missing)
        && seen.embedded_database.is_none()
    {
        secrets.push(GeneratedSecret::EmbeddedDatabase);
    }
    secrets
}
