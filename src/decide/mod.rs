//! The fourth step: what should be done now. Pure.

mod gate;
mod plan;
mod rollout;
mod scaling;
#[cfg(test)]
mod tests;

pub use gate::{Gate, GateInput};
pub use plan::{Backup, EdgeProxy, GeneratedSecret, Migrate, Migrated, Plan, Pull, SchemaBaseline, Workload};

use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    migration::{Action, Direction, Step, direction, was_applied},
    model::{Code, Component, Diagnosis, PodPhase, Severity},
    observe::{DatabaseProbe, JobOutcome, JobState, KeptUrls, Look, Observation, PodSummary, SecretState},
    validate::{Database, Installation, backup_name, pull_name},
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
    // What is not fresh may have been true before somebody else migrated: nothing is opened by it.
    let fresh = observation.look == Look::Fresh;
    let restored = step.as_ref().filter(|step| fresh && undoing_sufficed(installation, observation, step));
    let proofs: Vec<&str> = annotated.iter().copied().chain(restored.map(|step| step.key.as_str())).collect();
    let gate = gate::decide(GateInput {
        key,
        job_name,
        annotated: &proofs,
        recorded: observation.previous.migration.as_ref(),
        jobs: &observation.jobs,
        blocked: obstacle(installation, observation, diagnoses),
        external: observation.other_migrator().is_some(),
    });
    let (gate, pull) = match (gate, &step) {
        (Gate::Pending, Some(step)) => pull(installation, observation, step),
        (gate, _) => (gate, None),
    };
    let (gate, backup) = match (gate, &step) {
        (Gate::Pending, Some(step)) => backup(installation, observation, step),
        (gate, _) => (gate, None),
    };
    let gate = match (gate, &step) {
        (Gate::Pending, Some(step)) if !is_back(observation, step) => Gate::Blocked(Code::OlderPodsPending),
        (gate, _) => gate,
    };
    let rollout = rollout::decide(installation, observation, &gate, step.as_ref());
    let generate = generated(installation, observation);
    let migrate = match (&gate, &step, &observation.migration_lock) {
        // A Job carries a hash of its credentials that is keyed with the Django key, so that it can be told later whether
        // they have changed: it is made in the pass after that key.
        (Gate::Pending, Some(step), Some(lock))
            if fresh
                && generate.is_empty()
                && rollout.stopped
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
        pull,
        superseded_jobs: superseded(installation, observation, step.as_ref(), &gate),
        generate,
        migrated: rollout.migrated,
        task_processor: rollout.task_processor,
        api: rollout.api,
        frontend: rollout.frontend,
        edge_proxy: rollout.edge_proxy,
        is_restoring: rollout.is_restoring,
        pods_held: matches!(observation.secrets.django, SecretState::NotOwned(_))
            || matches!(observation.secrets.urls, KeptUrls::NotOwned(_))
            || matches!(observation.secrets.database, SecretState::NotOwned(_)),
        http_route: observation.http_route_api,
        pod_monitor: observation.pod_monitor_api,
        gate,
        step,
        ..Plan::of_nothing(installation, observation)
    }
}

/// Whether undoing a newer release has brought the database back to where the wanted one had left it: the newest
/// migration there is the one that was the newest before the upgrade from it. Then there is nothing to apply.
fn undoing_sufficed(installation: &Installation, observation: &Observation, step: &Step) -> bool {
    let wanted = installation.release.to_string();
    let history = &observation.previous.migration_history;
    let applied = |record: &&MigrationStatus| record.result == MigrationResult::Applied;
    let mut records =
        history.iter().filter(applied).take_while(|record| record.operation != MigrationOperation::Restore);
    let undone = records
        .next()
        .is_some_and(|last| last.operation == MigrationOperation::RollBack && last.version == wanted);
    let left = records.find(|record| record.from.as_deref() == Some(&wanted) && record.version != wanted);
    let left = left.and_then(|record| record.last_applied_before.as_ref()).map(|time| time.0);
    let now = observation.preflight().and_then(|preflight| preflight.history.last_applied());
    let known = was_applied(installation, observation);
    step.action == Action::Migrate && undone && known && left.is_some() && left == now
}

/// What forbids a migration now. A blocked downgrade comes before everything else, whatever was diagnosed first:
/// other obstacles keep a migration from starting, this one also keeps a release from running that is recorded as
/// migrated and that the database has left behind.
fn obstacle(installation: &Installation, observation: &Observation, diagnoses: &[Diagnosis]) -> Option<Code> {
    let direction = direction(installation, observation);
    if matches!(direction, Direction::Blocked(_)) {
        return Some(Code::DowngradeBlocked);
    }
    // What is wrong in a database is no reason not to replace it.
    let replaced = matches!(direction, Direction::Restore(_));
    let counts = |diagnosis: &&Diagnosis| !replaced || diagnosis.component == Component::Database;
    // Whether anything forbids it is not known before the first look, or is known of another database.
    if matches!(observation.look, Look::Pending(_)) {
        return Some(Code::MigrationsPending);
    }
    // A Job meets what the operator's own connection has met, although pods that run may still work.
    let refused = matches!(observation.database, DatabaseProbe::Failed(_));
    let holds = |diagnosis: &&Diagnosis| match diagnosis.severity {
        Severity::Critical => true,
        Severity::Warning => refused && diagnosis.component == Component::Database,
        Severity::Info => false,
    };
    let diagnosed = diagnoses
        .iter()
        .filter(holds)
        .filter(counts)
        .map(|diagnosis| diagnosis.code)
        .find(|code| code.cause().blocks_migration);
    // What a rollback undoes is told from what was applied before the migration began: it is not begun unseen where it can
    // be seen.
    diagnosed.or_else(|| observation.missed_preflight().map(|_| Code::MigrationsPending))
}

/// Holds a gate that would open until the images of the migration, and of those after it on the way, are known to be
/// there: a task processor is not stopped for a tag that does not exist, nothing is migrated towards one, and nothing is
/// undone for a release that cannot start afterwards. That its Job has ended is enough, however: without its images no
/// container starts. Where nothing is to be stopped, and nothing follows, the migration's own Job finds out soon enough.
fn pull(installation: &Installation, observation: &Observation, step: &Step) -> (Gate, Option<Pull>) {
    let works = observation.task_processor.as_ref().is_some_and(|state| state.desired > 0);
    // Before the first of several stops it must be known that the last one's is there; before everything is stopped for a
    // restore, that what brings it back is.
    let begins = step.action.restore().is_some()
        || step.is_stop() && step.path.first().is_some_and(|first| first.release == step.release);
    let images = step.images(installation);
    let name = pull_name(installation, &step.job, &images);
    let known = observation.pulls.iter().find(|job| job.name == name);
    match known.map(|job| &job.outcome) {
        _ if !works && !begins => (Gate::Pending, None),
        Some(JobOutcome::Complete | JobOutcome::Failed { .. }) => (Gate::Pending, None),
        Some(JobOutcome::Active) => (Gate::Blocked(Code::MigrationImagePending), None),
        None => {
            let release = step.release;
            (Gate::Blocked(Code::MigrationImagePending), Some(Pull { name, release, images }))
        }
    }
}

/// Holds a gate that would open until the backup that the user asks for has succeeded. The task processor works
/// meanwhile: dumping a large database takes hours.
fn backup(installation: &Installation, observation: &Observation, step: &Step) -> (Gate, Option<Backup>) {
    let history = &observation.previous.migration_history;
    let holds_data = observation.newest_migrated().is_some()
        || history.iter().any(|record| record.result == MigrationResult::Applied)
        || observation.preflight().is_some_and(|preflight| preflight.history.count > 0);
    // What was brought back is in its own backup.
    let is_kept = match step.action.restore() {
        Some(restore) => !restore.backs_up,
        None => observation.restored().is_some(),
    };
    if installation.migrations.backup.is_none() || !holds_data || is_kept {
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
        None => {
            let release = observation.newest_migrated();
            (Gate::Blocked(Code::BackupPending), Some(Backup { name, database, release }))
        }
    }
}

/// Whether nothing is left to be done before migrations are undone: where the older pods come first, there are no others.
fn is_back(observation: &Observation, step: &Step) -> bool {
    let rollback = step.action.rollback().filter(|rollback| rollback.pods_first());
    rollback.is_none_or(|rollback| rollout::is_back(observation, rollback.to))
}

/// Jobs to delete.
///
/// - Before a Job undoes what other Jobs prove, or the other way round: those.
/// - Once the wanted migration is recorded: Jobs of other migrations that are complete, because after a
///   downgrade they prove nothing any more, and failed ones except the newest few. Not earlier, so that no result
///   is lost that was not written down.
/// - A Job of another attempt that has changed nothing yet: its image cannot be pulled, or it still lists what there is
///   to do. It would hold up everything until its end, and be in the way afterwards. One that has begun to migrate is
///   left to end by itself.
/// - A Job that had images pulled, once the migration has begun that it was for, or another one is wanted.
fn superseded(
    installation: &Installation,
    observation: &Observation,
    step: Option<&Step>,
    gate: &Gate,
) -> Vec<String> {
    let due = step.filter(|_| matches!(gate, Gate::Pending | Gate::Blocked(_)));
    let due = due.map(|step| pull_name(installation, &step.job, &step.images(installation)));
    // Nothing is known to be past while the database is not known.
    let pulls = observation.pulls.iter().filter(|job| step.is_some() && !job.deleting);
    let pulls = pulls.map(|job| job.name.clone()).filter(|name| due.as_ref() != Some(name));
    pulls.chain(superseded_migrations(observation, step, gate)).collect()
}

fn superseded_migrations(observation: &Observation, step: Option<&Step>, gate: &Gate) -> Vec<String> {
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
            let mut pods =
                observation.pods.iter().filter(|pod| pod.job.as_deref() == Some(&job.name)).peekable();
            // A pod is pending until the last of its init containers has ended.
            let waits = |pod: &PodSummary| pod.phase == PodPhase::Pending;
            let has_not_begun = pods.peek().is_some() && pods.all(waits);
            has_not_begun.then(|| job.name.clone()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Secrets are generated for an installation that has never run, URLs whenever a part of them has changed. Later a missing one is a loss to report: a new
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
    if observation.secrets.urls == KeptUrls::Outdated {
        secrets.push(GeneratedSecret::DatabaseUrls);
    }
    secrets
}
