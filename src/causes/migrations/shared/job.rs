//! A migration Job that has failed, or whose attempt is made again, and what its pods and logs say of the cause.

use crate::{
    api::{Circumstance, MigrationOperation, MigrationResult, MigrationStatus},
    causes::{
        context::Context,
        pods::{self, PodTrouble, last_message, last_status},
    },
    flagsmith::{Release, failures::TRANSIENT_STATUS, upgrades},
    migration::Step,
    model::{Code, Component, Draft, Severity},
    observe::{JobOutcome, JobState, Observation, PodSummary, Run},
    validate::{Installation, pull_name},
};

/// A Job that has failed, and that no later one has overtaken.
pub(crate) struct FailedJob<'a> {
    /// The Job.
    pub(crate) job: &'a JobState,
    /// Why, in Kubernetes' word: `BackoffLimitExceeded`, `DeadlineExceeded`, …
    pub(crate) reason: &'a str,
    message: &'a str,
}

/// What is wrong with the pods of migrations, and what the log of the last Job, or the status, says of its cause: any
/// cause there is.
pub(crate) fn diagnose(context: &Context<'_>) -> Vec<Draft> {
    let failed = failed(context);
    let mut found = Vec::new();
    found.extend(pods::diagnoses(context, &[Component::Migrations], |trouble| in_pod(context, trouble)));
    let killed = |it: &Draft| it.code == Code::MigrationOutOfMemory;
    match &failed {
        Some(job) if found.iter().any(killed) => {
            let explain = |it: Draft| {
                if killed(&it) { job.explained(context, it) } else { it }
            };
            found = found.into_iter().map(explain).collect();
        }
        Some(job) => found.extend(job.cause(context).map(|cause| job.explained(context, cause))),
        None => {
            found.extend(tried_again(context));
            found.extend(recorded(context).and_then(|_| remembered(context)));
        }
    }
    found
}

/// What keeps one pod of a migration from running; that it ends is what its Job says.
fn in_pod(context: &Context<'_>, trouble: &PodTrouble<'_>) -> Option<Draft> {
    if !is_current(context, trouble.pod) {
        return None;
    }
    let found = pods::image_pull_failed(trouble, Code::MigrationImagePullFailed)
        .or_else(|| pods::unschedulable(trouble, Code::MigrationPodUnschedulable))
        .or_else(|| pods::out_of_memory(trouble, Code::MigrationOutOfMemory))
        .or_else(|| pods::config_error(trouble))?;
    let serving = context.observation.api.as_ref().and_then(|api| api.release);
    let serving =
        serving.filter(|_| context.observation.pulls.iter().any(|job| is_of(trouble.pod, &job.name)));
    Some(match serving {
        Some(release) => Draft {
            message: format!(
                "{} Nothing was stopped for it: version {release} keeps running.",
                found.message
            ),
            ..found
        },
        None => found,
    })
}

fn is_of(pod: &PodSummary, job: &str) -> bool {
    pod.job.as_deref() == Some(job)
}

/// The Job that has failed, where the last one has. Of the operator's own only the attempt that is asked for counts:
/// what an earlier one failed with must not hold back the next.
pub(crate) fn failed<'a>(context: &Context<'a>) -> Option<FailedJob<'a>> {
    let (installation, observation) = (context.installation, context.observation);
    // A restore has a room of its own.
    let jobs = observation.jobs.iter().filter(|job| job.operation != MigrationOperation::Restore);
    let last = if installation.managed_by.migrates_first() {
        if context.observation.is_migrating() || is_applied(context) {
            return None;
        }
        let step = Step::of(installation, observation);
        jobs.filter(|job| job.release == Some(context.due()))
            .filter(|job| step.as_ref().is_none_or(|step| step.job == job.name))
            .find(|job| matches!(job.outcome, JobOutcome::Failed { .. }))
    } else {
        jobs.max_by_key(|job| (job.started, job.name.as_str()))
    };
    let job = last?;
    match &job.outcome {
        JobOutcome::Failed { reason, message } => Some(FailedJob { job, reason, message }),
        _ => None,
    }
}

/// The record of a failed attempt whose Job is gone.
pub(crate) fn recorded<'a>(context: &Context<'a>) -> Option<&'a MigrationStatus> {
    let (installation, observation) = (context.installation, context.observation);
    let of_operator = installation.managed_by.migrates_first();
    if !of_operator || context.observation.is_migrating() || is_applied(context) || failed(context).is_some()
    {
        return None;
    }
    let step = Step::of(installation, observation);
    observation.previous.migration.as_ref().filter(|migration| {
        let of_step = |job: &String| step.as_ref().is_none_or(|step| step.job == *job);
        migration.result == MigrationResult::Failed
            && migration.operation != MigrationOperation::Restore
            && migration.version == context.due().to_string()
            && migration.job.as_ref().is_some_and(of_step)
    })
}

/// What was written down of the cause while the Job was there.
pub(crate) fn remembered(context: &Context<'_>) -> Option<Draft> {
    let known =
        context.observation.previous.diagnoses.iter().filter(|known| {
            known.component == Component::Migrations.as_str() && known.severity == "Critical"
        });
    known
        .filter_map(|known| Some((Code::named(&known.code)?, known)))
        .map(|(code, known)| Draft {
            code,
            severity: Severity::Critical,
            component: Component::Migrations,
            message: known.message.clone(),
            evidence: known.evidence.clone(),
            remedy: known.remedy.clone(),
        })
        .next()
}

impl FailedJob<'_> {
    /// What Kubernetes says of it.
    pub(crate) fn evidence(&self, context: &Context<'_>) -> String {
        let namespace = &context.installation.identity.namespace;
        let said = format!("Job {namespace}/{}: {} {}", self.job.name, self.reason, self.message);
        said.trim_end().to_owned()
    }

    /// The command that runs it again.
    pub(crate) fn run_again(&self, context: &Context<'_>) -> String {
        let installation = context.installation;
        installation.managed_by.run_job_again(&installation.identity, &self.job.name)
    }

    /// A cause as that of the Job's failure.
    fn explained(&self, context: &Context<'_>, cause: Draft) -> Draft {
        Draft {
            severity: severity(context),
            component: Component::Migrations,
            message: format!("{}{}", cause.message, goes_on(context)),
            evidence: cause.evidence.into_iter().chain([self.evidence(context)]).collect(),
            remedy: if cause.code.cause().cured_by.is_some()
                && context.installation.managed_by.migrates_first()
            {
                format!("{} The migration is then tried again by itself.", cause.remedy)
            } else {
                format!("{} Then run it again: {}", cause.remedy, self.run_again(context))
            },
            code: cause.code,
        }
    }

    /// What its log says, unless it was stopped from outside.
    pub(crate) fn cause(&self, context: &Context<'_>) -> Option<Draft> {
        if self.reason == "DeadlineExceeded" {
            return None;
        }
        from_logs(context)
    }
}

/// What a failed Job was given that made it fail, as far as its pods and logs tell.
pub(crate) fn cured_by(
    installation: &Installation,
    observation: &Observation,
    job: &JobState,
) -> Option<Circumstance> {
    let context = Context::new(installation, observation);
    failed(&context).filter(|failed| failed.job.name == job.name)?;
    // What another Job has failed of, of the release that was wanted in between, says nothing of this one.
    let is_of_another =
        |pod: &PodSummary| pod.job.as_ref().is_some_and(|it| *it != job.name) && !pod.problems.is_empty();
    if observation.pods.iter().any(is_of_another) {
        return None;
    }
    let found = diagnose(&context);
    found.iter().find_map(|draft| draft.code.cause().cured_by)
}

/// How much a failed Job matters: pods of a release that the operator runs wait for it.
pub(crate) fn severity(context: &Context<'_>) -> Severity {
    if context.installation.managed_by.migrates_first() || !serves(context) {
        Severity::Critical
    } else {
        Severity::Warning
    }
}

/// What the failure leaves running, as a sentence to append.
pub(crate) fn goes_on(context: &Context<'_>) -> String {
    let release = context.observation.api.as_ref().and_then(|api| api.release);
    match release {
        _ if !context.installation.managed_by.migrates_first() => String::new(),
        _ if context.observation.restored().is_some() => {
            " No release serves on the restored database before one is migrated to.".to_owned()
        }
        Some(release) => {
            let applied = applied_so_far(context, release);
            format!("{applied} Version {release} keeps serving.{}", way(context))
        }
        None => " Nothing was started.".to_owned(),
    }
}

/// Where an upgrade with stops goes on, as a sentence to append.
fn way(context: &Context<'_>) -> String {
    let (due, wanted) = (context.due(), context.installation.release);
    if due == wanted {
        return String::new();
    }
    format!(" {due} is a stop on the way to {wanted}; the upgrade goes on there.")
}

/// What all attempts at the migration have applied, as a sentence to append: the old release runs on that.
fn applied_so_far(context: &Context<'_>, serving: Release) -> String {
    let previous = &context.observation.previous;
    let wanted = context.due();
    let version = wanted.to_string();
    let history = previous.migration_history.iter();
    let mut attempts: Vec<&MigrationStatus> = previous
        .migration
        .iter()
        .chain(history.take_while(|record| record.result != MigrationResult::Applied))
        .filter(|record| record.version == version && record.operation == MigrationOperation::Migrate)
        .collect();
    // The latest attempt is in both.
    attempts.dedup_by(|a, b| (&a.job, &a.started) == (&b.job, &b.started));
    let applied: i32 = attempts.iter().filter_map(|record| record.applied).sum();
    // The first attempt found the most to do.
    let total = attempts.iter().filter_map(|record| record.total).max();
    let (Some(total), 1..) = (total, applied) else {
        return String::new();
    };
    let meanwhile = upgrades::incompatible(serving, wanted)
        .map_or_else(String::new, |change| format!(" On them {serving} cannot {}.", change.what));
    format!(" {applied} of the {total} migrations to {wanted} are applied, and stay so.{meanwhile}")
}

fn serves(context: &Context<'_>) -> bool {
    let api = context.observation.api.as_ref();
    api.is_some_and(|api| api.rolled_out() && api.ready > 0)
}

/// Whether the wanted release is migrated to: then an old failed Job is history.
fn is_applied(context: &Context<'_>) -> bool {
    let wanted = Some(context.due());
    let complete = |job: &JobState| job.release == wanted && job.outcome == JobOutcome::Complete;
    let observation = context.observation;
    observation.jobs.iter().any(complete) || observation.api.as_ref().and_then(|api| api.migrated) == wanted
}

/// Whether a pod is of the attempt that counts.
fn is_current(context: &Context<'_>, pod: &PodSummary) -> bool {
    let (installation, observation) = (context.installation, context.observation);
    if !installation.managed_by.migrates_first() || context.observation.is_migrating() {
        return true;
    }
    let Some(step) = Step::of(installation, observation) else {
        return !is_applied(context);
    };
    is_of(pod, &pull_name(installation, &step.job, &step.images(installation)))
        || !is_applied(context) && (pod.job.is_none() || is_of(pod, &step.job))
}

/// An attempt that failed with something that passes by itself, while the next one is on its way. Anything else ends
/// the Job; its condition follows in a moment.
fn tried_again(context: &Context<'_>) -> Option<Draft> {
    if !context.observation.is_migrating() {
        return None;
    }
    last_status(context.observation, Component::Migrations).filter(|status| *status == TRANSIENT_STATUS)?;
    let cause = from_logs(context)?;
    Some(Draft {
        severity: Severity::Warning,
        component: Component::Migrations,
        message: format!("An attempt of the migration failed, and it is tried again: {}", cause.message),
        ..cause
    })
}

/// What the log of the last failed pod says: the whole log where it was read, else its end, which the termination
/// message keeps.
fn from_logs(context: &Context<'_>) -> Option<Draft> {
    let observation = context.observation;
    let is_of_job = |name: &str| {
        let mut pods = observation.pods.iter();
        pods.any(|pod| pod.name == name && pod.component == Some(Component::Migrations))
    };
    let read = observation
        .pod_logs
        .logs
        .iter()
        .filter(|reading| matches!(reading.run, Run::Failed { .. }) && is_of_job(&reading.pod))
        .max_by_key(|reading| reading.at)
        .and_then(|reading| reading.found.first())
        .map(|finding| Draft::from(finding.diagnosis.clone()));
    let found = read.or_else(|| {
        let message = last_message(observation, Component::Migrations)?;
        crate::causes::diagnose_log(Component::Migrations, None, "migration log", message.as_bytes())
            .into_iter()
            .map(|(_, diagnosis)| Draft::from(diagnosis))
            .next()
    });
    found.map(|found| context.owned(found))
}
