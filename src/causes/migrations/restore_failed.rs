//! A backup could not be brought back.

use crate::{
    api::MigrationResult,
    causes::{consequences, pods::last_words, prelude::*},
    migration::Step,
    model::shell,
    observe::JobOutcome,
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_STOPPED_MIGRATION,
    check: Some(|context| failed(context).into_iter().collect()),
    ..Cause::critical(Component::Migrations, include_str!("restore_failed.md"))
};

fn failed(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let step = Step::of(installation, observation)?;
    let restore = step.action.restore()?;
    let job = observation.jobs.iter().find(|job| job.name == step.job);
    let said = match job.map(|job| &job.outcome) {
        Some(JobOutcome::Failed { reason, message }) => format!(": {reason} {message}"),
        Some(_) => return None,
        None => {
            let record = observation.previous.migration.as_ref()?;
            let is_this = record.job.as_ref() == Some(&step.job) && record.result == MigrationResult::Failed;
            is_this.then(String::new)?
        }
    };
    let identity = &installation.identity;
    let (namespace, name) =
        (shell::name(&identity.namespace, "NAMESPACE"), shell::name(&identity.name, "NAME"));
    let serving = observation.api.as_ref().and_then(|api| api.release);
    let serving =
        serving.map_or_else(String::new, |release| format!(" Version {release} serves on it again."));
    Some(Draft {
        message: format!(
            "The backup {} could not be restored. A restore is one transaction, so the database is as it was before.{serving}",
            restore.from
        ),
        evidence: [format!("Job {}/{}{said}", identity.namespace, step.job)]
            .into_iter()
            .chain(last_words(observation, Component::Migrations))
            .collect(),
        remedy: format!(
            "Read its log: kubectl -n {namespace} logs job/{} --tail=50. When the cause is repaired, run it again: {} To give it up: \
             kubectl -n {namespace} patch fsd {name} --type merge -p '{{\"spec\":{{\"migrations\":{{\"restore\":null}}}}}}'",
            shell::name(&step.job, "JOB"),
            installation.managed_by.run_job_again(identity, &step.job)
        ),
        ..Code::RestoreFailed.draft()
    })
}
