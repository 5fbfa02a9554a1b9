//! The fourth step: what should be done now. Pure.

mod connections;
mod gate;
mod key;
mod plan;
mod rollout;
mod scaling;
#[cfg(test)]
mod tests;

pub use connections::ConnectionBudget;
pub use gate::{Gate, GateInput};
pub use key::{MIGRATE_COMMAND, MigrationKey, database_label};
pub use plan::{GeneratedSecret, Migrate, Migrated, Plan, Workload};

use crate::{
    diagnose::Diagnosis,
    observe::{JobOutcome, JobState, Observation, PodSummary, SecretState},
    timeouts::{Timeouts, recognise},
    validate::{Database, Installation},
};

/// How many failed Jobs are kept for their logs.
const KEPT_JOBS: usize = 2;

/// The component label of the migration Job's pods.
const MIGRATIONS: &str = "migrations";

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
    let front = recognise(installation, seen);
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
            installation.api.gunicorn.threads,
            installation.api.gunicorn.keep_alive_seconds,
            &front,
        ),
        front,
        migrate,
        superseded_jobs: superseded(seen, key.as_ref(), job_name.as_deref(), &gate),
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

/// Jobs to delete.
///
/// - Once the wanted migration is recorded: Jobs of other migrations that are complete, because after a
///   downgrade they prove nothing any more, and failed ones except the newest few. Not earlier, so that no result
///   is lost that was not written down.
/// - A Job of another attempt that cannot start, for example for a release that does not exist: it would hold up
///   everything until its deadline. One whose pods have ever started is left to end by itself.
fn superseded(
    seen: &Observation,
    key: Option<&MigrationKey>,
    current: Option<&str>,
    gate: &Gate,
) -> Vec<String> {
    match gate {
        Gate::Succeeded => {
            let of_key = |job: &JobState| key.is_some_and(|key| job.key.as_deref() == Some(key.as_str()));
            let (complete, mut failed): (Vec<_>, Vec<_>) = seen
                .jobs
                .iter()
                .filter(|job| job.outcome != JobOutcome::Active && !job.deleting)
                .partition(|job| job.outcome == JobOutcome::Complete);
            failed.sort_by(|a, b| b.finished.cmp(&a.finished).then_with(|| a.name.cmp(&b.name)));
            complete
                .into_iter()
                .filter(|job| !of_key(job))
                .chain(failed.into_iter().skip(KEPT_JOBS))
                .map(|job| job.name.clone())
                .collect()
        }
        Gate::Running(job) if !job.deleting && current.is_some_and(|name| name != job.name) => {
            let release = job.release.map(|release| release.to_string());
            let mut pods = seen
                .pods
                .iter()
                .filter(|pod| pod.component == MIGRATIONS && pod.version == release)
                .peekable();
            let cannot_start = |pod: &PodSummary| pod.phase == "Pending" && !pod.problems.is_empty();
            let never_started = pods.peek().is_some() && pods.all(cannot_start);
            never_started.then(|| job.name.clone()).into_iter().collect()
        }
        _ => Vec::new(),
    }
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
