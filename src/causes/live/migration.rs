//! A migration Job that has failed, that is being tried again, or that cannot start.

use super::{Code, Component, Diagnosis, Severity, diagnosis, logs, pods};
use crate::{
    api::{MigrationResult, MigrationStatus, RETRY_MIGRATION_ANNOTATION},
    flagsmith::failures::TRANSIENT_STATUS,
    migration::Step,
    observe::{JobOutcome, JobState, Observation, PodSummary},
    validate::Installation,
};

/// The component label of the migration Job's pods.
const LABEL: &str = "migrations";

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let step = Step::of(installation, observation);
    // Only the current attempt: what an earlier one failed of must not hold back the next.
    let current = |name: &str| step.as_ref().is_none_or(|step| step.job == name);
    let mut found = pods::check(installation, observation, LABEL, Component::Migrations);
    found.retain(|diagnosis| diagnosis.code != Code::CrashLooping);
    if observation
        .jobs
        .iter()
        .any(|job| job.outcome == JobOutcome::Active)
    {
        found.extend(tried_again(observation));
        return found;
    }
    let of_an_earlier = |pod: &PodSummary| pod.job.as_deref().is_some_and(|job| !current(job));
    if is_applied(installation, observation) {
        return Vec::new();
    }
    if observation.pods.iter().any(of_an_earlier) {
        found.clear();
    }
    let job = observation
        .jobs
        .iter()
        .filter(|job| job.release == Some(installation.release) && current(&job.name))
        .find(|job| matches!(job.outcome, JobOutcome::Failed { .. }));
    let recorded = observation.previous.migration.as_ref().filter(|migration| {
        migration.result == MigrationResult::Failed
            && migration.version == installation.release.to_string()
            && migration.job.as_deref().is_some_and(&current)
    });
    match (job, recorded) {
        (Some(job), _) => found = failed(installation, observation, job, found),
        (None, Some(recorded)) => found.insert(0, remembered(installation, observation, recorded)),
        (None, None) => {}
    }
    found
}

/// Whether the wanted release is migrated to: then an old failed Job is history.
fn is_applied(installation: &Installation, observation: &Observation) -> bool {
    let complete =
        |job: &JobState| job.release == Some(installation.release) && job.outcome == JobOutcome::Complete;
    observation.jobs.iter().any(complete)
        || observation.api.as_ref().and_then(|api| api.migrated) == Some(installation.release)
}

/// What a failed Job failed of, before what else is wrong with its pods.
fn failed(
    installation: &Installation,
    observation: &Observation,
    job: &JobState,
    mut others: Vec<Diagnosis>,
) -> Vec<Diagnosis> {
    let namespace = &installation.identity.namespace;
    let wanted = installation.release;
    let JobOutcome::Failed { reason, message } = &job.outcome else {
        return others;
    };
    let job_said = format!("Job {namespace}/{}: {reason} {message}", job.name)
        .trim_end()
        .to_owned();
    let goes_on = goes_on(observation);
    let retry = retry(installation);
    let memory = others
        .iter()
        .position(|diagnosis| diagnosis.code == Code::MigrationOutOfMemory)
        .map(|position| others.remove(position));
    // The whole log where it was read, or its end, which the termination message keeps.
    let explained = memory.or_else(|| from_logs(observation));
    let first = match (reason.as_str(), explained) {
        ("DeadlineExceeded", _) => {
            let reached = observation.previous.migration.as_ref().and_then(reached);
            diagnosis(
                Code::MigrationDeadlineExceeded,
                Severity::Critical,
                Component::Migrations,
                format!(
                    "The migration to {wanted} took longer than the {} s of spec.migrations.activeDeadlineSeconds and was stopped. {goes_on}",
                    installation.migrations.active_deadline_seconds
                ),
                [job_said].into_iter().chain(reached).collect(),
                format!(
                    "See what it waited for (SELECT pid, state, wait_event_type, pg_blocking_pids(pid) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0;), or raise spec.migrations.activeDeadlineSeconds. Then run it again: {retry}"
                ),
            )
        }
        (_, Some(cause)) => Diagnosis {
            severity: Severity::Critical,
            component: Component::Migrations,
            message: format!("{} {goes_on}", cause.message),
            evidence: cause.evidence.into_iter().chain([job_said]).collect(),
            remedy: format!("{} Then run it again: {retry}", cause.remedy),
            code: cause.code,
        },
        (_, None) => diagnosis(
            Code::MigrationFailed,
            Severity::Critical,
            Component::Migrations,
            format!("The migration to {wanted} has failed. {goes_on}"),
            [job_said]
                .into_iter()
                .chain(pods::last_words(observation, LABEL))
                .collect(),
            format!(
                "Read its log: kubectl -n {namespace} logs job/{} --tail=100. When the cause is mended, run it again: {retry}",
                job.name
            ),
        ),
    };
    others.insert(0, first);
    others
}

/// The Job is gone; what it failed of was written down while it was there.
fn remembered(
    installation: &Installation,
    observation: &Observation,
    recorded: &MigrationStatus,
) -> Diagnosis {
    let known = observation
        .previous
        .diagnoses
        .iter()
        .filter(|known| known.component == Component::Migrations.as_str() && known.severity == "Critical")
        .find_map(|known| Some((Code::named(&known.code)?, known)));
    if let Some((code, known)) = known {
        return diagnosis(
            code,
            Severity::Critical,
            Component::Migrations,
            known.message.clone(),
            known.evidence.clone(),
            known.remedy.clone(),
        );
    }
    diagnosis(
        Code::MigrationFailed,
        Severity::Critical,
        Component::Migrations,
        format!(
            "The migration to {} has failed. {}",
            installation.release,
            goes_on(observation)
        ),
        vec![format!(
            "status.migration: Job {} has failed; it is gone, and its log with it",
            recorded.job.as_deref().unwrap_or_default()
        )],
        format!("Run it again to see why: {}", retry(installation)),
    )
}

/// An attempt that failed of something that passes by itself, while the next one is on its way.
fn tried_again(observation: &Observation) -> Option<Diagnosis> {
    // Anything else ends the Job; its condition follows in a moment.
    pods::last_status(observation, LABEL).filter(|status| *status == TRANSIENT_STATUS)?;
    let cause = from_logs(observation)?;
    Some(Diagnosis {
        severity: Severity::Warning,
        component: Component::Migrations,
        message: format!(
            "An attempt of the migration failed, and it is tried again: {}",
            cause.message
        ),
        ..cause
    })
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

fn goes_on(observation: &Observation) -> String {
    observation.api.as_ref().and_then(|api| api.release).map_or_else(
        || "Nothing was started.".to_owned(),
        |release| format!("Version {release} keeps serving."),
    )
}

fn retry(installation: &Installation) -> String {
    let identity = &installation.identity;
    format!(
        "kubectl -n {} annotate fsd {} {RETRY_MIGRATION_ANNOTATION}=\"$(date +%s)\" --overwrite",
        identity.namespace, identity.name,
    )
}

/// What the log of the last failed pod says.
fn from_logs(observation: &Observation) -> Option<Diagnosis> {
    logs::migration(observation).or_else(|| pods::last_message(observation, LABEL).and_then(from_log))
}

/// What the end of a failed pod's log says, as far as its termination message holds it.
fn from_log(message: &str) -> Option<Diagnosis> {
    crate::causes::diagnose_log(Component::Migrations, None, "migration log", message.as_bytes())
        .into_iter()
        .map(|(_, diagnosis)| diagnosis)
        .next()
}
