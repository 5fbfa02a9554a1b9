//! The fourth step: what should be done now. Pure.

mod gate;
mod plan;
mod rollout;
mod scaling;
#[cfg(test)]
mod tests;

pub use gate::{Gate, GateInput};
pub use plan::{Backup, GeneratedSecret, Migrate, Migrated, Plan, SchemaBaseline, Workload};

use crate::{
    api::MigrationResult,
    migration::{Direction, Step, direction},
    model::{Code, Component, Diagnosis, PodPhase, Severity},
    observe::{DatabaseProbe, JobOutcome, JobState, Observation, PodSummary, SecretState},
    validate::{Database, Installation, backup_name},
};

/// How many failed Jobs are kept for their logs.
const KEPT_JOBS: usize = 2;

/// Decides what should be true after this pass.
#[must_use]
pub fn decide(installation: &Installation, observation: &Observation, diagnoses: &[Diagnosis]) -> Plan {
    let step = Step::of(installation, observation);
    let key = step.as_ref().map(|step| &step.key);
    let job_name = step.as_ref().map(|step| step.job.as_str());
    let annotated: Vec<&str> = [&observation.api, &observation.task_processor]
        .into_iter()
        .flatten()
        .filter_map(|workload| workload.migration_key.as_deref())
        .collect();
    let gate = gate::decide(GateInput {
        key,
        job_name,
        annotated: &annotated,
        recorded: observation.previous.migration.as_ref(),
        jobs: &observation.jobs,
        blocked: obstacle(installation, observation, diagnoses),
        external: observation.other_migrator().is_some(),
    });
    let (gate, backup) = match (gate, &step) {
        (Gate::Pending, Some(step)) => backup(installation, observation, step),
        (gate, _) => (gate, None),
    };
    let rollout = rollout::decide(installation, observation, &gate, step.as_ref());
    let migrate = match (&gate, &step, &observation.migration_lock) {
        (Gate::Pending, Some(step), Some(lock))
            if rollout.processor_stopped
                && step.announced(&annotated, observation)
                && step.contradicted(&observation.jobs).next().is_none() =>
        {
            Some(Migrate::new(installation, observation, step, lock))
        }
        _ => None,
    };
    Plan {
        migrate,
        backup,
        superseded_jobs: superseded(observation, step.as_ref(), &gate),
        generate: generated(installation, observation),
        migrated: rollout.migrated,
        task_processor: rollout.task_processor,
        api: rollout.api,
        frontend: rollout.frontend,
        pods_held: matches!(observation.secrets.django, SecretState::NotOwned(_))
            || matches!(observation.secrets.database, SecretState::NotOwned(_)),
        http_route: observation.http_route_api,
        gate,
        step,
        ..Plan::of_nothing(installation, observation)
    }
}

/// What forbids a migration now. A blocked downgrade comes before everything else, whatever was diagnosed first:
/// other obstacles keep a migration from starting, this one also keeps a release from running that is recorded as
/// migrated and that the database has left behind.
fn obstacle(installation: &Installation, observation: &Observation, diagnoses: &[Diagnosis]) -> Option<Code> {
    if matches!(direction(installation, observation), Direction::Blocked(_)) {
        return Some(Code::DowngradeBlocked);
    }
    // A Job meets what the operator's own connection has met, although pods that run may still work.
    let refused = matches!(observation.database, DatabaseProbe::Failed(_));
    let holds = |diagnosis: &&Diagnosis| match diagnosis.severity {
        Severity::Critical => true,
        Severity::Warning => refused && diagnosis.component == Component::Database,
        Severity::Info => false,
    };
    diagnoses
        .iter()
        .filter(holds)
        .map(|diagnosis| diagnosis.code)
        .find(|code| code.cause().blocks_migration)
}

/// Holds a gate that would open until the backup that the user asks for has succeeded. The task processor works
/// meanwhile: dumping a large database takes hours.
fn backup(installation: &Installation, observation: &Observation, step: &Step) -> (Gate, Option<Backup>) {
    let history = &observation.previous.migration_history;
    let holds_data = observation.newest_migrated().is_some()
        || history
            .iter()
            .any(|record| record.result == MigrationResult::Applied)
        || observation
            .preflight()
            .is_some_and(|preflight| preflight.history.count > 0);
    if installation.migrations.backup.is_none() || !holds_data {
        return (Gate::Pending, None);
    }
    let name = backup_name(installation, &step.job);
    let Some(database) = observation.migration_lock.clone() else {
        return (Gate::Blocked(Code::BackupPending), None);
    };
    let made = observation.backups.iter().find(|job| job.name == name);
    match made.map(|job| &job.outcome) {
        Some(JobOutcome::Complete) => (Gate::Pending, None),
        Some(JobOutcome::Active) => (Gate::Blocked(Code::BackupPending), None),
        Some(JobOutcome::Failed { .. }) => (Gate::Blocked(Code::BackupFailed), None),
        None => (
            Gate::Blocked(Code::BackupPending),
            Some(Backup { name, database }),
        ),
    }
}

/// Jobs to delete.
///
/// - Before a Job undoes what other Jobs prove, or the other way round: those.
/// - Once the wanted migration is recorded: Jobs of other migrations that are complete, because after a
///   downgrade they prove nothing any more, and failed ones except the newest few. Not earlier, so that no result
///   is lost that was not written down.
/// - A Job of another attempt that cannot start, for example for a release that does not exist: it would hold up
///   everything until its deadline. One whose pods have ever started is left to end by itself.
fn superseded(observation: &Observation, step: Option<&Step>, gate: &Gate) -> Vec<String> {
    let key = step.map(|step| &step.key);
    match gate {
        Gate::Pending => step
            .into_iter()
            .flat_map(|step| step.contradicted(&observation.jobs))
            .filter(|job| !job.deleting)
            .map(|job| job.name.clone())
            .collect(),
        Gate::Succeeded => {
            let of_key = |job: &JobState| key.is_some_and(|key| job.key.as_deref() == Some(key.as_str()));
            let (complete, mut failed): (Vec<_>, Vec<_>) = observation
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
        Gate::Running(job) if !job.deleting && step.is_some_and(|step| step.job != job.name) => {
            let release = job.release.map(|release| release.to_string());
            let mut pods = observation
                .pods
                .iter()
                .filter(|pod| pod.component == Component::Migrations.as_str() && pod.version == release)
                .peekable();
            let cannot_start = |pod: &PodSummary| pod.phase == PodPhase::Pending && !pod.problems.is_empty();
            let never_started = pods.peek().is_some() && pods.all(cannot_start);
            never_started.then(|| job.name.clone()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Secrets are generated for an installation that has never run. Later a missing one is a loss to report: a new
/// key would end every session and make stored credentials unreadable, a new password would lock out the data.
fn generated(installation: &Installation, observation: &Observation) -> Vec<GeneratedSecret> {
    let fresh = |state: bool| state && !observation.has_run();
    let mut secrets = Vec::new();
    if installation.generates_django_secret && fresh(observation.secrets.django == SecretState::Missing) {
        secrets.push(GeneratedSecret::Django);
    }
    if matches!(installation.database, Database::Embedded { .. })
        && fresh(observation.secrets.database == SecretState::Missing)
        && observation.embedded_database.is_none()
    {
        secrets.push(GeneratedSecret::EmbeddedDatabase);
    }
    secrets
}
