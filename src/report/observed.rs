//! Conditions of an installation that somebody else made, where they differ: nothing is asked for, so what counts is
//! whether it works.

use super::conditions::{Context, Verdict, critical, of, verdict};
use crate::{
    causes::Running,
    flagsmith::env,
    model::{Code, Component, Severity},
    observe::{JobOutcome, WorkloadState},
};

/// Whether every migration is applied, as far as ready pods and Jobs tell.
pub(super) fn migrations(context: Context<'_>) -> Verdict {
    let observation = context.observation;
    if let Some(diagnosis) = critical(context, Component::Migrations) {
        return of(diagnosis);
    }
    if let Some(job) = observation
        .jobs
        .iter()
        .find(|job| job.outcome == JobOutcome::Active)
    {
        return verdict(
            "False",
            "Running",
            format!("Job {} is migrating the database", job.name),
        );
    }
    // The health check behind the readiness probe has included the migrations since Flagsmith 2.19.
    let current = observation
        .api
        .as_ref()
        .is_some_and(|api| api.rolled_out() && api.ready > 0);
    if current {
        verdict(
            "True",
            "ReportedByPods",
            "ready pods of the API find every migration of their release applied",
        )
    } else {
        verdict(
            "Unknown",
            "NotKnown",
            "no pod of the newest template is ready that could tell",
        )
    }
}

/// A component that is not there.
pub(super) fn absent(context: Context<'_>, component: Component) -> Verdict {
    if let Some(diagnosis) = critical(context, component) {
        return of(diagnosis);
    }
    let api = context
        .observation
        .api
        .as_ref()
        .and_then(WorkloadState::container);
    let queued = api.and_then(|api| api.environment.value(env::TASK_RUN_METHOD)) == Some(env::QUEUED);
    match component {
        Component::TaskProcessor if !queued => verdict("True", "NotUsed", "the API runs its tasks itself"),
        Component::Frontend => verdict("True", "NotUsed", "no frontend belongs to this installation"),
        _ => verdict("False", "NotFound", "there is no such Deployment"),
    }
}

/// Whether the timeouts that run obey the rules, none of which was seen to be broken.
pub(super) fn timeouts(context: Context<'_>) -> Verdict {
    let Some(running) = Running::of(context.installation, context.observation) else {
        return verdict(
            "Unknown",
            "NotKnown",
            "there is no API whose timeouts could be read",
        );
    };
    let summary = running.summary();
    let unchecked = context
        .diagnoses
        .iter()
        .find(|diagnosis| diagnosis.code == Code::ProxyNotChecked);
    if let Some(diagnosis) = unchecked {
        return verdict(
            "Unknown",
            diagnosis.code.as_str(),
            format!("{summary}. {}", diagnosis.message),
        );
    }
    let values = &running.values;
    let unseen: Vec<&str> = [
        ("Gunicorn's timeout", values.gunicorn_timeout),
        ("its keep-alive", values.keep_alive),
        ("its graceful timeout", values.graceful_timeout),
        ("what preStop takes", values.pre_stop),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_none())
    .map(|(name, _)| name)
    .collect();
    if unseen.is_empty() {
        verdict("True", "Aligned", summary)
    } else {
        let message = format!(
            "{summary}. What a Secret or a script says is not read: {}",
            unseen.join(", ")
        );
        verdict("Unknown", "NotSeen", message)
    }
}

/// The summary: everything that is there works.
pub(super) fn ready(context: Context<'_>) -> Verdict {
    let worst = context
        .diagnoses
        .first()
        .filter(|first| first.severity == Severity::Critical);
    if let Some(diagnosis) = worst {
        return of(diagnosis);
    }
    let observation = context.observation;
    let waiting: Vec<&str> = [
        (&observation.task_processor, "task processor"),
        (&observation.api, "API"),
        (&observation.frontend, "frontend"),
    ]
    .into_iter()
    .filter(|(state, _)| state.as_ref().is_some_and(|state| !state.rolled_out()))
    .map(|(_, name)| name)
    .collect();
    if !waiting.is_empty() {
        return verdict(
            "False",
            "Progressing",
            format!("pods are being replaced; waiting for: {}", waiting.join(", ")),
        );
    }
    let release = observation.api.as_ref().and_then(|api| api.release).map_or_else(
        || "Flagsmith".to_owned(),
        |release| format!("Flagsmith {release}"),
    );
    verdict(
        "True",
        "Available",
        format!("{release} runs; it is observed, not managed"),
    )
}
