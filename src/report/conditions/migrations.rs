//! Whether the wanted release's migrations are applied, or how far they are.

use super::{Context, Verdict, critical, of, verdict};
use crate::{
    api::MigrationOperation,
    decide::Gate,
    model::{Code, Component},
    observe::JobState,
    report::{migration, observed},
};

pub(super) fn migrations(context: Context<'_>) -> Verdict {
    if !context.installation.managed_by.is_operator() {
        return observed::migrations(context);
    }
    let release = context.installation.release;
    if let Some(diagnosis) = critical(context, Component::Migrations) {
        return of(diagnosis);
    }
    match &context.plan.gate {
        Gate::Succeeded | Gate::Unrecorded(_) => verdict(
            "True",
            "Applied",
            format!("every migration of {release} is applied"),
        ),
        Gate::Running(job) => verdict("False", "Running", running(context, job)),
        Gate::Pending if context.plan.migrate.is_some() => verdict(
            "False",
            "Pending",
            format!("the migration to {release} is being started"),
        ),
        Gate::Pending => verdict(
            "False",
            "Pending",
            format!("the migration to {release} starts when the task processor has stopped"),
        ),
        Gate::Failed { job, .. } => verdict(
            "False",
            Code::MigrationFailed.as_str(),
            format!("Job {job} has failed"),
        ),
        Gate::Blocked(Code::MigrationConcurrent) => verdict(
            "False",
            Code::MigrationConcurrent.as_str(),
            format!(
                "the migration to {release} waits for another one of the same database: {}",
                context
                    .observation
                    .other_migrator()
                    .as_deref()
                    .unwrap_or("it has just ended"),
            ),
        ),
        Gate::Blocked(Code::BackupPending) => verdict(
            "False",
            Code::BackupPending.as_str(),
            format!("the migration to {release} waits for its backup"),
        ),
        Gate::Blocked(code) => verdict(
            "False",
            code.as_str(),
            format!("the migration to {release} cannot start yet: {code}"),
        ),
    }
}

/// What a Job is doing, and how far it is. Rounded to seconds, and only as fresh as the last look at the database.
fn running(context: Context<'_>, job: &JobState) -> String {
    let release = context.installation.release;
    let name = &job.name;
    if job.operation == MigrationOperation::RollBack {
        return format!("Job {name} is undoing the migrations that are newer than {release}");
    }
    let progress = migration::progress(context.observation, job);
    let mut text = format!(
        "Job {name} is migrating the database to {}",
        job.release.unwrap_or(release)
    );
    if let (Some(applied), Some(total)) = (progress.applied, progress.total) {
        text = format!("{text}: {applied} of {total} migrations applied");
    }
    if let (Some(current), Some(since)) = (progress.current, progress.since) {
        text = format!("{text}, {current} running since {since:.0}");
    }
    text
}
