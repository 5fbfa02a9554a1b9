//! The migration in the status: how it stands, how far it is, and what there was before. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use super::context::Context;
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationOperation, MigrationResult, MigrationStatus},
    causes::cured_by,
    decide::Gate,
    migration::{given, is_of},
    model::Component,
    observe::{JobOutcome, JobState, Observation, Pending, SecretState},
    runtime::metrics,
};

/// Migrations that are remembered: enough to go back over ten upgrades.
pub(super) const HISTORY: usize = 10;

/// How far a running migration is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// How many migrations it has to apply.
    pub(super) total: Option<i32>,
    /// How many of them are applied.
    pub(super) applied: Option<i32>,
    /// The one that is being applied.
    pub(super) current: Option<String>,
    /// When the last one was applied.
    pub(super) since: Option<Timestamp>,
}

/// How the migration Job ended that has ended between two statuses, and how long it took.
pub(super) fn ended(
    before: &FlagsmithDeploymentStatus,
    after: &FlagsmithDeploymentStatus,
) -> Option<(metrics::MigrationResult, Duration)> {
    let migration = after.migration.as_ref()?;
    let result = match migration.result {
        MigrationResult::Applied => metrics::MigrationResult::Succeeded,
        MigrationResult::Failed => metrics::MigrationResult::Failed,
        MigrationResult::Blocked | MigrationResult::Pending | MigrationResult::Running => return None,
    };
    let (started, finished) = (migration.started.as_ref()?, migration.finished.as_ref()?);
    let known = before.migration.as_ref().is_some_and(|before| {
        (&before.job, before.result, &before.finished)
            == (&migration.job, migration.result, &migration.finished)
    });
    let took = Duration::try_from(finished.0.duration_since(started.0)).unwrap_or_default();
    (!known).then_some((result, took))
}

/// The migration of the wanted release.
pub(crate) fn migration(context: Context<'_>) -> MigrationStatus {
    let observation = context.observation;
    let key = context.plan.step.as_ref().map(|step| step.key.to_string());
    let previous = observation.previous.migration.clone().unwrap_or_default();
    // That another attempt is due is known from what the last one failed of, which is about to be written over.
    let again = context.plan.step.as_ref().filter(|step| step.is_another_attempt(context.installation));
    let version = context.due().to_string();
    let without_job = |result| MigrationStatus {
        key: key.clone(),
        job: again.map(|step| step.job.clone()),
        version: version.clone(),
        operation: context
            .plan
            .step
            .as_ref()
            .map_or(MigrationOperation::Migrate, crate::migration::Step::operation),
        result,
        ..MigrationStatus::default()
    };
    let of_job = |job: &JobState| MigrationStatus {
        key: key.clone(),
        version: version.clone(),
        ..record(context, job)
    };
    match &context.plan.gate {
        // Without the database's URL nothing new is known; a recorded failure must not be forgotten over it.
        Gate::Blocked(_) if key.is_none() && observation.previous.migration.is_some() => previous,
        Gate::Blocked(_) => without_job(MigrationResult::Blocked),
        Gate::Pending => without_job(MigrationResult::Pending),
        Gate::Running(job) | Gate::Unrecorded(job) | Gate::Failed { state: Some(job), .. } => of_job(job),
        Gate::Failed { job, state: None } if previous.job.as_ref() == Some(job) => previous,
        Gate::Failed { job, state: None } => {
            MigrationStatus { job: Some(job.clone()), ..without_job(MigrationResult::Failed) }
        }
        // The Job may be gone by now; what was recorded of it stays.
        Gate::Succeeded if previous.key == key && previous.result == MigrationResult::Applied => previous,
        Gate::Succeeded => without_job(MigrationResult::Applied),
    }
}

/// Migrations that have ended: what was recorded, and Jobs that were not yet, the newest first.
pub(crate) fn history(context: Context<'_>) -> Vec<MigrationStatus> {
    let observation = context.observation;
    let known = &observation.previous.migration_history;
    let mut new: Vec<MigrationStatus> = observation
        .jobs
        .iter()
        .filter(|job| job.outcome != JobOutcome::Active && !known.iter().any(|record| is_of(record, job)))
        .map(|job| record(context, job))
        .collect();
    new.sort_by_key(|record| std::cmp::Reverse(record.finished.as_ref().map(|time| time.0)));
    new.into_iter().chain(known.iter().cloned()).take(HISTORY).collect()
}

/// What there is to say of a Job.
fn record(context: Context<'_>, job: &JobState) -> MigrationStatus {
    let observation = context.observation;
    let previous = [&observation.previous.migration]
        .into_iter()
        .flatten()
        .find(|known| is_of(known, job))
        .cloned()
        .unwrap_or_default();
    let progress = progress(observation, job);
    let total = progress.total.or(previous.total);
    let (result, applied, current, failed_at) = match &job.outcome {
        JobOutcome::Active => (
            MigrationResult::Running,
            progress.applied.or(previous.applied),
            // The list of names is cut after some hundred: rather none than one of long ago.
            if progress.total.is_some() && progress.applied.is_some() {
                progress.current
            } else {
                previous.current
            },
            None,
        ),
        JobOutcome::Complete => (MigrationResult::Applied, total, None, None),
        JobOutcome::Failed { .. } => {
            let at = failed_at(observation).or(previous.current).or(previous.failed_at);
            let applied = progress.applied.max(previous.applied);
            (MigrationResult::Failed, applied, None, at)
        }
    };
    MigrationStatus {
        key: job.key.clone(),
        version: job.release.map(|release| release.to_string()).unwrap_or_default(),
        result,
        operation: job.operation,
        from: job.from.map(|release| release.to_string()),
        job: Some(job.name.clone()),
        started: job.started.map(Time),
        finished: job.finished.map(Time),
        total,
        applied,
        current,
        failed_at,
        waits_for: match &job.outcome {
            JobOutcome::Failed { .. } => cured_by(context.installation, observation, job)
                .and_then(|what| given(what, job))
                .or(previous.waits_for),
            JobOutcome::Active | JobOutcome::Complete => None,
        },
        last_applied_before: job.last_applied_before.map(MicroTime),
        database: match &observation.secrets.migration_database {
            SecretState::Present(identity) => Some(identity.to_string()),
            _ => previous.database,
        },
        backup: observation
            .backups
            .iter()
            .filter(|backup| backup.outcome == JobOutcome::Complete && backup.finished <= job.started)
            .max_by_key(|backup| backup.finished)
            .map(|backup| backup.name.clone())
            .or(previous.backup),
    }
}

/// How far a Job is: its pod tells what it found to do, the database how much of that is done.
pub(super) fn progress(observation: &Observation, job: &JobState) -> Progress {
    if job.operation != MigrationOperation::Migrate {
        return Progress::default();
    }
    let pending: Option<&Pending> = observation
        .pods
        .iter()
        .filter(|pod| {
            pod.component == Some(Component::Migrations) && pod.job.as_deref() == Some(job.name.as_str())
        })
        .filter_map(|pod| pod.pending.as_ref())
        // A later attempt finds less to do than the first.
        .max_by_key(|pending| pending.count);
    let history = observation.preflight().map(|preflight| &preflight.history);
    let rows = history
        .zip(job.count_before)
        .map(|(history, before)| history.count.saturating_sub(before))
        .filter(|rows| *rows >= 0);
    let applied = rows.and_then(|rows| match pending {
        Some(pending) => Some(pending.applied(rows)),
        None => i32::try_from(rows).ok(),
    });
    let current = pending
        .zip(applied)
        .and_then(|(pending, applied)| pending.names.get(usize::try_from(applied).ok()?).cloned());
    Progress {
        total: pending.map(|pending| pending.count),
        applied,
        current,
        since: history
            .filter(|_| applied.is_some_and(|applied| applied > 0))
            .and_then(crate::observe::History::last_applied)
            .or(job.started),
    }
}

/// The migration that the last failed pod was at: Django writes its name before it begins, and OK behind it.
fn failed_at(observation: &Observation) -> Option<String> {
    let message = crate::causes::last_message(observation, Component::Migrations)?;
    let line =
        message.lines().filter_map(|line| line.split_once("Applying ").map(|(_, rest)| rest)).next_back()?;
    let name = line.split("...").next()?.trim();
    (!line.trim_end().ends_with(" OK") && name.contains('.')).then(|| name.to_owned())
}
