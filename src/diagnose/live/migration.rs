//! A migration Job that has failed, or that cannot start.

use super::{Code, Component, Diagnosis, Severity, diagnosis, pods};
use crate::{
    api::{MigrationResult, RETRY_MIGRATION_ANNOTATION},
    decide::MigrationKey,
    observe::{JobOutcome, Observation, SecretState},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, seen: &Observation) -> Vec<Diagnosis> {
    let mut found = pods::check(installation, seen, "migrations", Component::Migrations);
    found.retain(|diagnosis| diagnosis.code != Code::CrashLooping);
    let wanted = installation.release;
    // Only the current attempt: what an earlier one failed of must not hold back the next.
    let attempt = match &seen.secrets.migration_database {
        SecretState::Present(identity) => {
            Some(MigrationKey::new(installation, wanted, identity).job_name(installation))
        }
        _ => None,
    };
    let current = |name: &str| attempt.as_deref().is_none_or(|attempt| attempt == name);
    let failed = seen
        .jobs
        .iter()
        .filter(|job| job.release == Some(wanted) && current(&job.name))
        .find_map(|job| match &job.outcome {
            JobOutcome::Failed { reason, message } => {
                Some((job.name.clone(), reason.clone(), message.clone()))
            }
            _ => None,
        });
    let recorded = seen.previous.migration.as_ref().filter(|migration| {
        migration.result == MigrationResult::Failed
            && migration.version == wanted.to_string()
            && migration.job.as_deref().is_some_and(&current)
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
    let retry = format!(
        "kubectl -n {} annotate fsd {} {RETRY_MIGRATION_ANNOTATION}=\"$(date +%s)\" --overwrite",
        identity.namespace, identity.name,
    );
    let job_said = format!("Job {}/{job}: {reason} {message}", identity.namespace)
        .trim_end()
        .to_owned();
    let explained = pods::last_message(seen, "migrations").and_then(from_log);
    found.insert(
        0,
        match explained {
            Some(cause) if code == Code::MigrationFailed => Diagnosis {
                severity: Severity::Critical,
                component: Component::Migrations,
                message: format!("{} {goes_on}", cause.message),
                evidence: cause.evidence.into_iter().chain([job_said]).collect(),
                remedy: format!("{} Then run it again: {retry}", cause.remedy),
                code: cause.code,
            },
            _ => diagnosis(
                code,
                Severity::Critical,
                Component::Migrations,
                format!("The migration to {wanted} {what}. {goes_on}"),
                [job_said].into_iter().chain(pods::last_words(seen, "migrations")).collect(),
                format!(
                    "Read its log: kubectl -n {} logs job/{job} --tail=100. When the cause is mended, run it again: {retry}",
                    identity.namespace,
                ),
            ),
        },
    );
    found
}

/// What the end of a failed pod's log says, as far as its termination message holds it.
fn from_log(message: &str) -> Option<Diagnosis> {
    crate::diagnose::diagnose_log(Component::Migrations, message.as_bytes())
        .ok()?
        .into_iter()
        .next()
}

/// Whether a Deployment already runs the wanted release: then an old failed Job is history.
fn annotated(installation: &Installation, seen: &Observation) -> bool {
    seen.api.as_ref().and_then(|api| api.migrated) == Some(installation.release)
}
