//! The backup before the migration has failed.

use crate::{
    causes::{pods::last_words, prelude::*},
    migration::Step,
    model::shell,
    observe::JobOutcome,
    validate::backup_name,
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    check: Some(|context| failed(context).into_iter().collect()),
    ..Cause::critical(Component::Migrations, include_str!("backup_failed.md"))
};

fn failed(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    installation.migrations.backup.as_ref()?;
    let step = Step::of(installation, observation)?;
    let name = backup_name(installation, &step.job);
    let job = observation.backups.iter().find(|job| job.name == name)?;
    let JobOutcome::Failed { reason, message } = &job.outcome else {
        return None;
    };
    let namespace = &installation.identity.namespace;
    let said = format!("Job {namespace}/{name}: {reason} {message}");
    Some(Draft {
        message: format!(
            "The backup before the migration to {} has failed, so the migration was not started.",
            step.release
        ),
        evidence: [said].into_iter().chain(last_words(observation, Component::Backup)).collect(),
        remedy: format!(
            "Read its log: kubectl -n {} logs job/{} --tail=50. When the cause is repaired: {}",
            shell::name(namespace, "NAMESPACE"),
            shell::name(&name, "NAME"),
            installation.managed_by.run_job_again(&installation.identity, &name)
        ),
        ..Code::BackupFailed.draft()
    })
}
