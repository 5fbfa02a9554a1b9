//! Whether a component serves, of whichever release.

use super::{Context, Verdict, critical, of, verdict};
use crate::{
    causes,
    decide::Gate,
    model::Component,
    observe::{DatabaseProbe, WorkloadState, database::QueueProbe},
    report::observed,
};

pub(super) fn component(context: Context<'_>, component: Component) -> Verdict {
    let (state, workload) = match component {
        Component::Api => (&context.observation.api, &context.plan.api),
        Component::TaskProcessor => (&context.observation.task_processor, &context.plan.task_processor),
        _ if !context.installation.frontend.enabled => {
            return verdict("True", "Disabled", "spec.frontend.enabled is false");
        }
        _ => (&context.observation.frontend, &context.plan.frontend),
    };
    let Some(state) = state else {
        if !context.installation.managed_by.is_operator() {
            return observed::absent(context, component);
        }
        return match (critical(context, component), workload) {
            (Some(diagnosis), _) => of(diagnosis),
            (None, Some(_)) => verdict("False", "Creating", "the Deployment is being made"),
            (None, None) => verdict(
                "False",
                "WaitingForMigration",
                "it starts when the migration has succeeded",
            ),
        };
    };
    let counts = counts(state);
    if state.desired == 0 {
        if state.resting {
            return verdict("True", "ScaledToZero", "no pod is wanted, on purpose");
        }
        let stopped = component == Component::TaskProcessor
            && matches!(
                context.plan.gate,
                Gate::Pending | Gate::Running(_) | Gate::Unrecorded(_)
            );
        return if stopped {
            verdict(
                "False",
                "StoppedForMigration",
                "no task runs while the database is migrated",
            )
        } else {
            verdict("False", "ScaledToZero", "no pod is wanted")
        };
    }
    if state.ready == 0 {
        return critical(context, component).map_or_else(|| verdict("False", "Starting", counts), of);
    }
    if component == Component::TaskProcessor {
        return processor(context, &counts);
    }
    verdict("True", "Available", counts)
}

/// A ready processor proves nothing: whether tasks are picked up stands in the database.
fn processor(context: Context<'_>, counts: &str) -> Verdict {
    if let Some(diagnosis) = critical(context, Component::TaskProcessor) {
        return of(diagnosis);
    }
    let queues = &context.observation.queues;
    match queues.separate.as_ref().unwrap_or(&queues.default) {
        QueueProbe::Seen(queue) => {
            let picked = queue.heartbeat().map_or_else(
                || "whether tasks are picked up cannot be told".to_owned(),
                |age| format!("last task picked up {} ago", causes::age(age)),
            );
            verdict("True", "Available", format!("{counts}, {picked}"))
        }
        QueueProbe::Failed(failure) => blocked(counts, &failure.message),
        QueueProbe::NoTables => verdict("True", "Available", counts),
        QueueProbe::NotProbed => match &context.observation.database {
            DatabaseProbe::Failed(failure) => blocked(counts, &failure.message),
            _ => verdict("True", "Available", counts),
        },
    }
}

fn blocked(counts: &str, why: &str) -> Verdict {
    verdict(
        "Unknown",
        "ProbeBlocked",
        format!(
            "{counts}; whether tasks are picked up is not known, because the operator cannot read the queue ({why})"
        ),
    )
}

fn counts(state: &WorkloadState) -> String {
    let pods = if state.desired == 1 { "pod" } else { "pods" };
    let version = state
        .release
        .map(|release| format!(", version {release}"))
        .unwrap_or_default();
    format!(
        "{} of {} {pods} ready{version}",
        state.ready.min(state.desired),
        state.desired
    )
}
