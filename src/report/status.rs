//! The whole status, computed. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Context, conditions};
use crate::{
    api::{
        ComponentStatus, ComponentsStatus, DiagnosisStatus, FlagsmithDeploymentStatus, MigrationResult,
        MigrationStatus,
    },
    build::{Component, selector_text},
    decide::Gate,
    diagnose::Diagnosis,
    observe::{JobState, WorkloadState},
};

/// The most diagnoses that a status carries: more than ten at once have one cause among the first.
const MOST_DIAGNOSES: usize = 10;

/// The status of a valid installation after a pass.
#[must_use]
pub fn status(context: Context<'_>) -> FlagsmithDeploymentStatus {
    let installation = context.installation;
    let previous = &context.seen.previous;
    let api = context.seen.api.as_ref();
    FlagsmithDeploymentStatus {
        observed_generation: Some(installation.identity.generation),
        version: api
            .filter(|api| api.rolled_out())
            .and_then(|api| api.release)
            .map(|release| release.to_string())
            .or_else(|| previous.version.clone()),
        migration: Some(migration(context)),
        components: Some(ComponentsStatus {
            api: component(context, api, Component::Api),
            task_processor: component(
                context,
                context.seen.task_processor.as_ref(),
                Component::TaskProcessor,
            ),
            frontend: component(context, context.seen.frontend.as_ref(), Component::Frontend),
        }),
        timeouts: Some(context.plan.timeouts.into()),
        diagnoses: diagnoses(context.diagnoses, &previous.diagnoses, &Time(context.seen.now)),
        conditions: conditions(context),
    }
}

fn migration(context: Context<'_>) -> MigrationStatus {
    let key = context.plan.key.as_ref().map(ToString::to_string);
    let previous = context.seen.previous.migration.clone().unwrap_or_default();
    let of_job = |result, job: &JobState| MigrationStatus {
        key: key.clone(),
        version: context.installation.release.to_string(),
        result,
        job: Some(job.name.clone()),
        started: job.started.map(Time),
        finished: job.finished.map(Time),
    };
    let without_job = |result| MigrationStatus {
        key: key.clone(),
        version: context.installation.release.to_string(),
        result,
        job: None,
        started: None,
        finished: None,
    };
    match &context.plan.gate {
        // Without the database's URL nothing new is known; a recorded failure must not be forgotten over it.
        Gate::Blocked(_) if key.is_none() && context.seen.previous.migration.is_some() => previous,
        Gate::Blocked(_) => without_job(MigrationResult::Blocked),
        Gate::Pending => without_job(MigrationResult::Pending),
        Gate::Running(job) => of_job(MigrationResult::Running, job),
        Gate::Unrecorded(job) => of_job(MigrationResult::Applied, job),
        Gate::Failed { state: Some(job), .. } => of_job(MigrationResult::Failed, job),
        Gate::Failed { job, state: None } => MigrationStatus {
            job: Some(job.clone()),
            started: previous.started,
            finished: previous.finished,
            ..without_job(MigrationResult::Failed)
        },
        // The Job may be gone by now; what was recorded of it stays.
        Gate::Succeeded if previous.key == key && previous.result == MigrationResult::Applied => previous,
        Gate::Succeeded => without_job(MigrationResult::Applied),
    }
}

fn component(
    context: Context<'_>,
    state: Option<&WorkloadState>,
    component: Component,
) -> Option<ComponentStatus> {
    let state = state?;
    let ready = state.ready.min(state.desired);
    Some(ComponentStatus {
        version: state.release.map(|release| release.to_string()),
        desired: state.desired,
        replicas: state.replicas,
        ready,
        summary: format!("{ready}/{}", state.desired),
        selector: selector_text(context.installation, component),
    })
}

/// Diagnoses in the order that they came in, with the time since when each has been seen.
pub(super) fn diagnoses(
    found: &[Diagnosis],
    previous: &[DiagnosisStatus],
    now: &Time,
) -> Vec<DiagnosisStatus> {
    found
        .iter()
        .take(MOST_DIAGNOSES)
        .map(|diagnosis| {
            let code = diagnosis.code.as_str();
            let component = diagnosis.component.as_str();
            let since = previous
                .iter()
                .find(|known| known.code == code && known.component == component)
                .and_then(|known| known.since.clone())
                .unwrap_or_else(|| now.clone());
            DiagnosisStatus {
                code: code.to_owned(),
                severity: diagnosis.severity.as_str().to_owned(),
                component: component.to_owned(),
                message: diagnosis.message.clone(),
                evidence: diagnosis.evidence.clone(),
                remedy: diagnosis.remedy.clone(),
                since: Some(since),
                docs: format!("docs/causes.md#{}", code.to_lowercase()),
            }
        })
        .collect()
}
