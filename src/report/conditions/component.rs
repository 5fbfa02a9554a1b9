//! Whether a component serves, of whichever release.

use std::collections::BTreeSet;

use crate::{
    causes,
    decide::Gate,
    flagsmith::Release,
    model::Component,
    observe::{
        DatabaseProbe, WorkloadState,
        database::{Queue, QueueProbe},
    },
    report::{
        condition::{
            ConditionStatus::{False, True, Unknown},
            Verdict,
        },
        context::Context,
        mode::ModeStatus,
    },
    validate::RollbackPlan,
};

pub(super) fn component(context: Context<'_>, mode: &dyn ModeStatus, component: Component) -> Verdict {
    let state = match component {
        Component::Api => &context.observation.api,
        Component::TaskProcessor => &context.observation.task_processor,
        Component::EdgeProxy => &context.observation.edge_proxy,
        _ if !context.installation.frontend.enabled => {
            return Verdict::new(True, "Disabled", "spec.frontend.enabled is false");
        }
        _ => &context.observation.frontend,
    };
    let Some(state) = state else {
        return context.critical(component).map_or_else(|| mode.absent(component), Verdict::of);
    };
    let counts = counts(context, component, state);
    if state.desired == 0 {
        if state.resting {
            return Verdict::new(True, "ScaledToZero", "no pod is wanted, on purpose");
        }
        if component == Component::TaskProcessor && context.processor_waits() {
            let why = "it starts when no pod of the API is of a newer release: that queues tasks which it does not know";
            return Verdict::new(False, "WaitingForApi", why);
        }
        if matches!(component, Component::Api | Component::TaskProcessor) && context.plan.is_restoring {
            let why = "no pod works on the database until a backup has taken the place of what was there, and is migrated";
            return Verdict::new(False, "StoppedForRestore", why);
        }
        let stopped = component == Component::TaskProcessor
            && matches!(context.plan.gate, Gate::Pending | Gate::Running(_) | Gate::Unrecorded(_));
        return if stopped {
            let held_up = context.critical(Component::Migrations);
            let why = held_up.map_or_else(
                || "no task runs while the database is migrated".to_owned(),
                |diagnosis| {
                    format!(
                        "no task runs until the database is migrated, which is held up: {}",
                        diagnosis.code
                    )
                },
            );
            Verdict::new(False, "StoppedForMigration", why)
        } else {
            Verdict::new(False, "ScaledToZero", "no pod is wanted")
        };
    }
    let (wanted, confirmed) = (context.installation.release, context.installation.rollback.is_some());
    if let Some(left) = state.release.filter(|release| confirmed && state.ready == 0 && *release > wanted) {
        let rollback = context.plan.step.as_ref().and_then(|step| step.action.rollback());
        let because =
            rollback.and_then(RollbackPlan::away).map_or_else(String::new, |why| format!(": {why}"));
        let why = format!(
            "no pod is ready until those of {wanted} take the place of {left}, which is being undone{because}"
        );
        return Verdict::new(False, "RollingBack", why);
    }
    if state.ready == 0 {
        return context
            .critical(component)
            .map_or_else(|| Verdict::new(False, "Starting", counts), Verdict::of);
    }
    if component == Component::TaskProcessor {
        return processor(context, &counts);
    }
    Verdict::new(True, "Available", counts)
}

/// A ready processor proves nothing: only the database tells whether tasks are picked up.
fn processor(context: Context<'_>, counts: &str) -> Verdict {
    if let Some(diagnosis) = context.critical(Component::TaskProcessor) {
        return Verdict::of(diagnosis);
    }
    let queues = &context.observation.queues;
    match queues.separate.as_ref().unwrap_or(&queues.default) {
        QueueProbe::Seen(queue) => {
            let picked = queue.heartbeat().map_or_else(
                || "whether tasks are picked up cannot be told".to_owned(),
                |age| format!("last task picked up {} ago", causes::age(age)),
            );
            let lost = given_up(queue);
            Verdict::new(True, "Available", format!("{counts}, {picked}{lost}"))
        }
        QueueProbe::Failed(failure) => blocked(counts, &failure.message),
        QueueProbe::NoTables => Verdict::new(True, "Available", counts),
        QueueProbe::NotProbed => match &context.observation.database {
            DatabaseProbe::Failed(failure) => blocked(counts, &failure.message),
            _ => Verdict::new(True, "Available", counts),
        },
    }
}

/// A webhook to a target that is gone is no trouble of the processor, and still nobody else says that it was not called.
fn given_up(queue: &Queue) -> String {
    let number = queue.given_up.iter().map(|(_, number)| number).sum();
    if number == 0 {
        return String::new();
    }
    let kinds = causes::names(queue.given_up.iter().map(|(kind, _)| kind.as_str()));
    format!("; {} of the last hour given up after three attempts ({kinds})", causes::tasks(number))
}

fn blocked(counts: &str, why: &str) -> Verdict {
    Verdict::new(
        Unknown,
        "ProbeBlocked",
        format!(
            "{counts}; whether tasks are picked up is not known, because the operator cannot read the queue ({why})"
        ),
    )
}

/// How many pods are ready, and of which release: during a rollout that is not the one of the template.
fn counts(context: Context<'_>, component: Component, state: &WorkloadState) -> String {
    let pods = if state.desired == 1 { "pod" } else { "pods" };
    let ready = context.observation.pods.iter().filter(|pod| pod.ready && pod.component == Some(component));
    let mut versions: BTreeSet<Release> =
        ready.filter_map(|pod| pod.version.as_ref()?.parse().ok()).collect();
    if versions.is_empty() {
        versions.extend(state.release);
    }
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let version =
        if versions.is_empty() { String::new() } else { format!(", version {}", versions.join(" and ")) };
    format!("{} of {} {pods} ready{version}", state.ready.min(state.desired), state.desired)
}
