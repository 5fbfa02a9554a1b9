//! The whole status, computed. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    conditions::conditions, context::Context, managed::Managed, mode::ModeStatus, observed::Observed,
};
use crate::{
    api::{ComponentStatus, ComponentsStatus, DiagnosisStatus, FlagsmithDeploymentStatus},
    model::{Diagnosis, DocsUrl},
    observe::WorkloadState,
};

/// The most diagnoses that a status carries: more than ten at once have one cause among the first.
pub(super) const MOST_DIAGNOSES: usize = 10;

/// The status of a valid installation after a pass.
pub(super) fn status(context: Context<'_>, docs: &DocsUrl) -> FlagsmithDeploymentStatus {
    let installation = context.installation;
    let mode: &dyn ModeStatus =
        if installation.managed_by.is_operator() { &Managed(context) } else { &Observed(context) };
    let previous = &context.observation.previous;
    let api = context.observation.api.as_ref();
    FlagsmithDeploymentStatus {
        observed_generation: Some(installation.identity.generation),
        version: api
            .filter(|api| api.rolled_out())
            .and_then(|api| api.release)
            .map(|release| release.to_string())
            .or_else(|| previous.version.clone()),
        migration: mode.migration(),
        upgrade: mode.upgrade(),
        migration_history: mode.migration_history(),
        backups: mode.backups(),
        restore: mode.restore(),
        components: Some(ComponentsStatus {
            api: component(api),
            task_processor: component(context.observation.task_processor.as_ref()),
            frontend: component(context.observation.frontend.as_ref()),
            edge_proxy: component(context.observation.edge_proxy.as_ref()),
        }),
        timeouts: mode.timeouts_status(),
        diagnoses: diagnoses(context.diagnoses, &previous.diagnoses, &Time(context.observation.now), docs),
        conditions: conditions(context, mode),
    }
}

fn component(state: Option<&WorkloadState>) -> Option<ComponentStatus> {
    let state = state?;
    let ready = state.ready.min(state.desired);
    Some(ComponentStatus {
        version: state.release.map(|release| release.to_string()),
        desired: state.desired,
        replicas: state.replicas,
        ready,
        summary: format!("{ready}/{}", state.desired),
        selector: state.selector.clone(),
    })
}

/// Diagnoses in the order that they came in, with the time since when each has been seen.
pub(super) fn diagnoses(
    found: &[Diagnosis],
    previous: &[DiagnosisStatus],
    now: &Time,
    docs: &DocsUrl,
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
                message: diagnosis.message.to_string(),
                evidence: diagnosis.evidence.iter().map(ToString::to_string).collect(),
                remedy: diagnosis.remedy.to_string(),
                since: Some(since),
                docs: docs.cause(diagnosis.code),
            }
        })
        .collect()
}
