//! A migration Job that has failed, or that cannot start.

use super::{Code, Component, Diagnosis, Severity, diagnosis, pods};
use crate::{
    api::{MigrationResult, RETRY_MIGRATION_ANNOTATION},
    observe::{JobOutcome, Observation},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, seen: &Observation) -> Vec<Diagnosis> {
    let mut found = pods::check(installation, seen, "migrations", Component::Migrations);
    found.retain(|diagnosis| diagnosis.code != Code::CrashLooping);
    let wanted = installation.release;
    let failed = seen
        .jobs
        .iter()
        .filter(|job| job.release == Some(wanted))
        .find_map(|job| match &job.outcome {
            JobOutcome::Failed { reason, message } => {
                Some((job.name.clone(), reason.clone(), message.clone()))
            }
            _ => None,
        });
    let recorded = seen.previous.migration.as_ref().filter(|migration| {
        migration.result == MigrationResult::Failed && migration.version == wanted.to_string()
    });
    let succeeded = seen
        .jobs
        .iter()
        .any(|job| job.release == Some(wanted) && job.outcome == JobOutcome::Complete);
    let running = seen.jobs.iter().any(|job| job.outcome == JobOutcome::Active);
    let Some((job, reason, message)) = failed.or_else(|| {
        recorded.map(|migration| {
            (
                migration.job.clone().unwrap_or_default(),
                String::new(),
                "the Job is gone".to_owned(),
            )
        })
    }) else {
        return found;
    };
    if succeeded || running || annotated(installation, seen) {
        return found;
    }
    let identity = &installation.identity;
    let serving = seen.api.as_ref().and_then(|api| api.release);
    let (code, what) = match reason.as_str() {
        "DeadlineExceeded" => (
            Code::MigrationDeadlineExceeded,
            format!(
                "took longer than the {} s of spec.migrations.activeDeadlineSeconds and was stopped",
                installation.migrations.active_deadline_seconds
            ),
        ),
        _ => (Code::MigrationFailed, "has failed".to_owned()),
    };
    let goes_on = serving.map_or_else(
        || "Nothing was started.".to_owned(),
        |release| format!("Version {release} keeps serving."),
    );
    let mut evidence = vec![
        format!("Job {}/{job}: {reason} {message}", identity.namespace)
            .trim_end()
            .to_owned(),
    ];
    evidence.extend(pods::last_words(seen, "migrations"));
    found.insert(
        0,
        diagnosis(
            code,
            Severity::Critical,
            Component::Migrations,
            format!("The migration to {wanted} {what}. {goes_on}"),
            evidence,
            format!(
                "Read its log: kubectl -n {0} logs job/{job} --tail=100. When the cause is mended, run it again: kubectl -n {0} annotate fsd {1} {RETRY_MIGRATION_ANNOTATION}=\"$(date +%s)\" --overwrite",
                identity.namespace, identity.name,
            ),
        ),
    );
    found
}

/// Whether a Deployment already runs the wanted release: then an old failed Job is history.
fn annotated(installation: &Installation, seen: &Observation) -> bool {
    seen.api.as_ref().and_then(|api| api.migrated) == Some(installation.release)
}
