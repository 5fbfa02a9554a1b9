//! Which release may run in which component, and in which order they change.

use super::{Gate, Migrated, MigrationKey, Workload};
use crate::{
    flagsmith::Release,
    observe::{Observation, WorkloadState},
    validate::{Installation, Replicas},
};

/// The components' share of the plan.
pub(super) struct Rollout {
    pub(super) task_processor: Option<Workload>,
    pub(super) api: Option<Workload>,
    pub(super) frontend: Option<Workload>,
    pub(super) migrated: Option<Migrated>,
    /// No task processor runs that could migrate, lock or fail during a migration.
    pub(super) processor_stopped: bool,
}

/// Decides the rollout. Before the migration is recorded as succeeded every component keeps the release that it
/// has, and one that does not exist yet is not made. Afterwards: task processor, then API, then frontend, so
/// that no queued task is unknown to the processor that takes it (an API never runs ahead of the processor).
pub(super) fn decide(
    installation: &Installation,
    seen: &Observation,
    gate: &Gate,
    key: Option<&MigrationKey>,
) -> Rollout {
    let target = installation.release;
    let open = *gate == Gate::Succeeded;
    let component = |state: Option<&WorkloadState>, replicas: Option<i32>, may_change: bool| {
        let current = state.and_then(|state| state.release);
        let release = if open && (may_change || current.is_none()) {
            Some(target)
        } else {
            current
        };
        release.map(|release| Workload {
            release,
            replicas,
            secret_hash: if open {
                seen.secrets
                    .hash
                    .clone()
                    .or_else(|| state.and_then(|state| state.secret_hash.clone()))
            } else {
                state.and_then(|state| state.secret_hash.clone())
            },
        })
    };

    let processor_stopped = seen.task_processor.as_ref().is_none_or(WorkloadState::stopped)
        && !seen.pods.iter().any(|pod| {
            pod.component == TASK_PROCESSOR && !matches!(pod.phase.as_str(), "Succeeded" | "Failed")
        });
    // While a migration runs, and just before, no task may run on tables that change under it.
    let stop_processor = matches!(gate, Gate::Pending | Gate::Running(_) | Gate::Unrecorded(_));
    let processors = if stop_processor {
        0
    } else {
        installation.task_processor_replicas()
    };
    let task_processor = component(seen.task_processor.as_ref(), Some(processors), true);

    let api_may_change = follows(seen.task_processor.as_ref(), target);
    let api = component(
        seen.api.as_ref(),
        replicas(installation.api_replicas(), seen, seen.api.as_ref()),
        api_may_change,
    );
    let frontend_may_change = api_may_change && follows(seen.api.as_ref(), target);
    let frontend = if installation.frontend.enabled {
        component(
            seen.frontend.as_ref(),
            replicas(installation.frontend_replicas(), seen, seen.frontend.as_ref()),
            frontend_may_change,
        )
    } else {
        None
    };
    Rollout {
        task_processor,
        api,
        frontend,
        migrated: migrated(seen, target, open, key),
        processor_stopped,
    }
}

/// The component label of the task processor's pods.
const TASK_PROCESSOR: &str = "task-processor";

/// Whether what comes after this component may change to the target release: it has been rolled out there, or
/// it is stopped on purpose. A component that does not exist yet is being made in the same pass.
fn follows(before: Option<&WorkloadState>, target: Release) -> bool {
    before.is_none_or(|state| state.release == Some(target) && state.rolled_out())
}

/// `None` when an autoscaler decides: the operator's own, or somebody else's that targets the Deployment.
fn replicas(replicas: Replicas, seen: &Observation, state: Option<&WorkloadState>) -> Option<i32> {
    match replicas {
        Replicas::Autoscaled(_) => None,
        Replicas::Fixed(_) if state.is_some_and(|state| seen.foreign_autoscalers.contains(&state.name)) => {
            None
        }
        Replicas::Fixed(count) => Some(count),
    }
}

/// What the Deployments' annotations say after this pass: the newest release counts, so that a later downgrade
/// is seen even when the status was lost.
fn migrated(seen: &Observation, target: Release, open: bool, key: Option<&MigrationKey>) -> Option<Migrated> {
    let known = [&seen.api, &seen.task_processor]
        .into_iter()
        .flatten()
        .filter_map(|workload| Some((workload.migrated?, workload.migration_key.clone()?)))
        .max();
    match (open, key) {
        (true, Some(key)) => Some(Migrated {
            key: key.to_string(),
            release: target,
        }),
        _ => known.map(|(release, key)| Migrated { key, release }),
    }
}
