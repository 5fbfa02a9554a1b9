//! The summary, and the two conditions of kstatus that follow from it.

use super::{Context, Verdict, of, verdict};
use crate::{
    decide::Gate,
    model::{Code, Component, Severity},
    observe::WorkloadState,
    report::observed,
};

/// The summary: what the spec asks for is there, and nothing critical is known.
pub(super) fn ready(context: Context<'_>, components: &[(&'static str, Verdict)]) -> Verdict {
    if !context.installation.managed_by.is_operator() {
        return observed::ready(context);
    }
    if context.installation.suspended {
        return verdict(
            "Unknown",
            Code::Suspended.as_str(),
            "nothing is changed while spec.suspend is true",
        );
    }
    if let Some(diagnosis) = context
        .diagnoses
        .iter()
        .find(|diagnosis| diagnosis.severity == Severity::Critical)
    {
        return of(diagnosis);
    }
    if context.plan.gate != Gate::Succeeded {
        let (reason, message) = components
            .iter()
            .find(|(kind, verdict)| {
                matches!(*kind, "DatabaseReachable" | "MigrationsApplied") && verdict.status == "False"
            })
            .map_or(
                (
                    "Progressing",
                    "the migration's result is being recorded".to_owned(),
                ),
                |(kind, verdict)| {
                    (
                        if *kind == "MigrationsApplied" {
                            "Migrating"
                        } else {
                            verdict.reason.as_str()
                        },
                        verdict.message.clone(),
                    )
                },
            );
        return verdict("False", reason, message);
    }
    let release = context.installation.release;
    if !context.complete {
        return verdict(
            "False",
            "Progressing",
            "not every object could be written; the operator tries again",
        );
    }
    let rolled = |state: &Option<WorkloadState>| {
        state
            .as_ref()
            .is_some_and(|state| state.release == Some(release) && state.rolled_out())
    };
    let waiting: Vec<&str> = [
        (rolled(&context.observation.task_processor), "task processor"),
        (rolled(&context.observation.api), "API"),
        (
            !context.installation.frontend.enabled || rolled(&context.observation.frontend),
            "frontend",
        ),
    ]
    .iter()
    .filter(|(done, _)| !done)
    .map(|(_, name)| *name)
    .collect();
    if !waiting.is_empty() {
        return verdict(
            "False",
            "Progressing",
            format!(
                "{release} is being rolled out; waiting for: {}",
                waiting.join(", ")
            ),
        );
    }
    verdict(
        "True",
        "Available",
        format!("Flagsmith {release} runs as asked for"),
    )
}

/// kstatus: Reconciling and Stalled are present only while they are True.
pub(super) fn abnormal(context: Context<'_>, ready: &Verdict) -> Option<(&'static str, Verdict)> {
    if ready.status != "False" {
        return None;
    }
    // A failed migration waits for a person whatever its cause: nothing retries it.
    let failed = matches!(context.plan.gate, Gate::Failed { .. });
    let stalled = context.diagnoses.iter().find(|diagnosis| {
        diagnosis.severity == Severity::Critical
            && (diagnosis.code.cause().needs_person
                || (failed && diagnosis.component == Component::Migrations))
    });
    Some(stalled.map_or_else(
        || {
            (
                "Reconciling",
                verdict("True", &ready.reason, ready.message.clone()),
            )
        },
        |diagnosis| {
            (
                "Stalled",
                verdict(
                    "True",
                    diagnosis.code.as_str(),
                    format!("waiting for a person: {}", diagnosis.remedy),
                ),
            )
        },
    ))
}
