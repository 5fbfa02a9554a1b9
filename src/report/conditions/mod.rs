//! The conditions, computed from everything that a pass has seen and decided. Pure.

mod component;
mod database;
mod migrations;
mod ready;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::front;
use crate::{
    decide::Plan,
    model::{Code, Component, Diagnosis, Severity},
    observe::Observation,
    validate::Installation,
};

/// Types that are always present.
pub(super) const ALWAYS: [&str; 8] = [
    "Ready",
    "DatabaseReachable",
    "MigrationsApplied",
    "ApiAvailable",
    "TaskProcessorAvailable",
    "FrontendAvailable",
    "TimeoutsAligned",
    "ExposureReady",
];

/// What conditions are computed from.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is wanted.
    pub installation: &'a Installation,
    /// What was seen.
    pub observation: &'a Observation,
    /// What was decided.
    pub plan: &'a Plan,
    /// What is wrong.
    pub diagnoses: &'a [Diagnosis],
    /// Whether everything that was decided has been written.
    pub complete: bool,
}

/// Status, reason and message of one condition.
pub(super) struct Verdict {
    status: &'static str,
    reason: String,
    message: String,
}

pub(super) fn verdict(status: &'static str, reason: &str, message: impl Into<String>) -> Verdict {
    Verdict {
        status,
        reason: reason.to_owned(),
        message: message.into(),
    }
}

/// All conditions in a stable order.
#[must_use]
pub fn conditions(context: Context<'_>) -> Vec<Condition> {
    let components = [
        ("DatabaseReachable", database::database(context)),
        ("MigrationsApplied", migrations::migrations(context)),
        ("ApiAvailable", component::component(context, Component::Api)),
        (
            "TaskProcessorAvailable",
            component::component(context, Component::TaskProcessor),
        ),
        (
            "FrontendAvailable",
            component::component(context, Component::Frontend),
        ),
        ("TimeoutsAligned", front::timeouts(context)),
        ("ExposureReady", front::exposure(context)),
    ];
    let ready = ready::ready(context, &components);
    let abnormal = ready::abnormal(context, &ready);
    let mut all = vec![("Ready", ready)];
    all.extend(components);
    all.extend(abnormal);
    let previous = &context.observation.previous.conditions;
    all.into_iter()
        .map(|(kind, verdict)| {
            condition(
                kind,
                verdict,
                previous,
                context.installation.identity.generation,
                context.observation.now,
            )
        })
        .collect()
}

/// The conditions of a resource that is no valid specification: only the summary can be told, the others keep what
/// was known of them.
pub(super) fn invalid(
    previous: &[Condition],
    generation: i64,
    code: Code,
    message: &str,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all: Vec<Condition> = previous
        .iter()
        .filter(|known| !matches!(known.type_.as_str(), "Ready" | "Stalled" | "Reconciling"))
        .cloned()
        .collect();
    for kind in ALWAYS.iter().filter(|kind| **kind != "Ready") {
        if !all.iter().any(|known| known.type_ == *kind) {
            let unknown = verdict(
                "Unknown",
                code.as_str(),
                "not looked at: the specification is not valid",
            );
            all.push(condition(kind, unknown, previous, generation, now));
        }
    }
    all.insert(
        0,
        condition(
            "Ready",
            verdict("False", code.as_str(), message),
            previous,
            generation,
            now,
        ),
    );
    all.push(condition(
        "Stalled",
        verdict("True", code.as_str(), message),
        previous,
        generation,
        now,
    ));
    all
}

/// The transition time moves only when the status does.
fn condition(
    kind: &str,
    verdict: Verdict,
    previous: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Condition {
    let since = previous
        .iter()
        .find(|known| known.type_ == kind && known.status == verdict.status)
        .map_or(Time(now), |known| known.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: verdict.status.to_owned(),
        reason: verdict.reason,
        message: verdict.message,
        observed_generation: Some(generation),
        last_transition_time: since,
    }
}

pub(super) fn critical(context: Context<'_>, component: Component) -> Option<&Diagnosis> {
    context
        .diagnoses
        .iter()
        .find(|diagnosis| diagnosis.component == component && diagnosis.severity == Severity::Critical)
}

pub(super) fn of(diagnosis: &Diagnosis) -> Verdict {
    verdict("False", diagnosis.code.as_str(), diagnosis.message.clone())
}
