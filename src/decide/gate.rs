//! The migration gate: may the wanted release run on this database?

use crate::{
    api::{MigrationResult, MigrationStatus},
    model::Code,
    observe::{JobOutcome, JobState},
};

use crate::validate::MigrationKey;

/// How the migration to the wanted release stands. Every place that acts on it matches exhaustively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Something must change before a Job may start.
    Blocked(Code),
    /// The Job may be created.
    Pending,
    /// A migration Job is running: the one of this key, or an older one that must end first.
    Running(JobState),
    /// The Job is complete, but no status or annotation says so yet: nothing rolls before that is written.
    Unrecorded(JobState),
    /// The release may run.
    Succeeded,
    /// The Job has failed; only a new key or the user's annotation starts another.
    Failed {
        /// The Job's name.
        job: String,
        /// Its final state, while it exists.
        state: Option<JobState>,
    },
}

/// What the gate is decided from.
#[derive(Clone, Copy, Debug)]
pub struct GateInput<'a> {
    /// The key of the wanted migration; unknown while the database's URL is.
    pub key: Option<&'a MigrationKey>,
    /// The name that the Job of this attempt has.
    pub job_name: Option<&'a str>,
    /// Keys that a Deployment's annotation calls done.
    pub annotated: &'a [&'a str],
    /// What the status says of the last migration.
    pub recorded: Option<&'a MigrationStatus>,
    /// All migration Jobs of this installation.
    pub jobs: &'a [JobState],
    /// The first reason that forbids a migration now.
    pub blocked: Option<Code>,
    /// A migration of another installation is running on the same database.
    pub external: bool,
}

/// Decides the gate. The order of the rules is the meaning: nothing moves while a Job runs, what is recorded
/// counts before what a Job says, a Job's result before a reason to wait, and a failure is final for its attempt.
pub(super) fn decide(input: GateInput<'_>) -> Gate {
    let of_key = |job: &&JobState| input.key.is_some_and(|key| job.key.as_deref() == Some(key.as_str()));
    if let Some(job) = input.jobs.iter().find(|job| job.outcome == JobOutcome::Active) {
        // Even when the wanted release is recorded: the user went back to it while a newer one was migrating,
        // and no processor may start on tables that change under it.
        return Gate::Running(job.clone());
    }
    if input.blocked == Some(Code::DowngradeBlocked) {
        // An old key may still be recorded, but the database has moved on since.
        return Gate::Blocked(Code::DowngradeBlocked);
    }
    if let Some(key) = input.key {
        let in_status = input.recorded.is_some_and(|status| {
            status.key.as_deref() == Some(key.as_str()) && status.result == MigrationResult::Applied
        });
        if in_status || input.annotated.contains(&key.as_str()) {
            return Gate::Succeeded;
        }
    }
    if let Some(job) = input.jobs.iter().filter(of_key).find(|job| job.outcome == JobOutcome::Complete) {
        return Gate::Unrecorded(job.clone());
    }
    if let Some(name) = input.job_name {
        // A failed Job that is being deleted has still failed: what is not recorded yet must not run again.
        let state = input.jobs.iter().find(|job| job.name == name);
        let recorded_failure = input.recorded.is_some_and(|status| {
            status.result == MigrationResult::Failed && status.job.as_deref() == Some(name)
        });
        if state.is_some() || recorded_failure {
            return Gate::Failed { job: name.to_owned(), state: state.cloned() };
        }
    }
    if let Some(code) = input.blocked {
        return Gate::Blocked(code);
    }
    if input.key.is_none() {
        // Without a key there is always a reason, but a gate must not open by accident.
        return Gate::Blocked(Code::MigrationsPending);
    }
    if input.external {
        return Gate::Blocked(Code::MigrationConcurrent);
    }
    Gate::Pending
}
