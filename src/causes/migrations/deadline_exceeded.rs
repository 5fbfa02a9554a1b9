//! The migration Job ran longer than it may.

use crate::{
    api::MigrationStatus,
    causes::{
        migrations::shared::{
            job::{failed, goes_on, severity},
            snippets::BLOCKED,
        },
        prelude::*,
    },
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_STOPPED_MIGRATION,
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("deadline_exceeded.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let installation = context.installation;
    let Some(job) = failed(context).filter(|job| job.reason == "DeadlineExceeded") else {
        return Vec::new();
    };
    let (limit, field) = if installation.managed_by.migrates_first() {
        (
            format!(
                "the {} s of spec.migrations.activeDeadlineSeconds",
                installation.migrations.active_deadline_seconds
            ),
            "spec.migrations.activeDeadlineSeconds",
        )
    } else {
        ("the activeDeadlineSeconds of its Job".to_owned(), "activeDeadlineSeconds of the Job")
    };
    let recorded = context.observation.previous.migration.as_ref();
    vec![Draft {
        code: Code::MigrationDeadlineExceeded,
        severity: severity(context),
        component: Component::Migrations,
        message: format!(
            "The migration to {} took longer than {limit} and was stopped.{}",
            context.due(),
            goes_on(context)
        ),
        evidence: [job.evidence(context)].into_iter().chain(recorded.and_then(reached)).collect(),
        remedy: format!(
            "See what it waited for ({BLOCKED}), or raise {field}. Then run it again: {}",
            job.run_again(context)
        ),
    }]
}

/// How far a migration came.
fn reached(recorded: &MigrationStatus) -> Option<String> {
    let (applied, total) = (recorded.applied?, recorded.total?);
    let at = recorded
        .current
        .as_ref()
        .or(recorded.failed_at.as_ref())
        .map(|name| format!(", at {name}"))
        .unwrap_or_default();
    Some(format!("database: {applied} of {total} migrations applied{at}"))
}
