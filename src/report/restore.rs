//! What became of a restore, in the status. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    condition::{ConditionStatus::False, Verdict},
    context::Context,
    migration,
};
use crate::{
    api::{MigrationOperation, MigrationResult, RestoreResult, RestoreStatus},
    decide::Gate,
    migration::{Hindrance, Restore, restore},
    model::Code,
};

/// Kept as long as the specification asks for the same one, so that it does not run again.
pub(crate) fn status(context: Context<'_>) -> Option<RestoreStatus> {
    let (installation, observation) = (context.installation, context.observation);
    let spec = installation.migrations.restore.as_ref()?;
    let told = |result, finished| RestoreStatus {
        from: spec.from.clone(),
        confirm: spec.confirm.clone(),
        result,
        finished,
    };
    match restore(installation, observation)? {
        Restore::Done => observation.previous.restore.clone(),
        Restore::Held(Hindrance::Ignored) => Some(told(RestoreResult::Ignored, None)),
        Restore::Due(_) => finished(context).map(|finished| told(RestoreResult::Restored, Some(finished))),
        Restore::Held(_) => None,
    }
}

/// When the restore that is due has ended well, where that is being recorded now. An older record is of an earlier one.
fn finished(context: Context<'_>) -> Option<Time> {
    let key = context.plan.step.as_ref()?.key.to_string();
    let known = &context.observation.previous.migration_history;
    let history = migration::history(context);
    let record = history.into_iter().filter(|record| !known.contains(record)).find(|record| {
        record.operation == MigrationOperation::Restore
            && record.result == MigrationResult::Applied
            && record.key.as_ref() == Some(&key)
    })?;
    record.finished
}

/// How the restore stands that is due, in the place of the migration that follows; a Job that runs tells for itself.
pub(super) fn verdict(context: Context<'_>) -> Option<Verdict> {
    let plan = context.plan;
    let restore = plan.step.as_ref()?.action.restore()?;
    let from = &restore.from;
    let (reason, message) = match &plan.gate {
        Gate::Pending => ("Pending", format!("{from} is restored when API and task processor have stopped")),
        Gate::Blocked(Code::BackupPending) => {
            (Code::BackupPending.as_str(), format!("{from} is restored when what it replaces is backed up"))
        }
        Gate::Blocked(Code::MigrationImagePending) => (
            Code::MigrationImagePending.as_str(),
            format!("{from} is restored when its images have been pulled"),
        ),
        Gate::Blocked(code) => (code.as_str(), format!("{from} cannot be restored yet: {code}")),
        Gate::Unrecorded(_) => ("Restored", format!("{from} is restored; that is being recorded")),
        Gate::Failed { job, .. } => {
            (Code::RestoreFailed.as_str(), format!("Job {job} has failed; the database is as it was"))
        }
        Gate::Running(_) | Gate::Succeeded => return None,
    };
    Some(Verdict::new(False, reason, message))
}
