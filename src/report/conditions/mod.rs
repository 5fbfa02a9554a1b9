//! The conditions, computed from everything that a pass has seen and decided. Pure.

mod abnormal;
mod component;
mod database;
mod exposure;
mod timeouts;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    condition::{ConditionStatus, ConditionType, Verdict},
    context::Context,
    mode::ModeStatus,
};
use crate::model::{Code, Component};

/// All conditions in a stable order.
pub(super) fn conditions(context: Context<'_>, mode: &dyn ModeStatus) -> Vec<Condition> {
    let migrations = context.critical(Component::Migrations).map_or_else(|| mode.migrations(), Verdict::of);
    let component = |component| component::component(context, mode, component);
    let edge_proxy = context.installation.edge_proxy.as_ref();
    let edge_proxy = edge_proxy.map(|_| (ConditionType::EdgeProxyAvailable, component(Component::EdgeProxy)));
    let mut parts = vec![
        (ConditionType::DatabaseReachable, database::database(context)),
        (ConditionType::MigrationsApplied, migrations),
        (ConditionType::ApiAvailable, component(Component::Api)),
        (ConditionType::TaskProcessorAvailable, component(Component::TaskProcessor)),
        (ConditionType::FrontendAvailable, component(Component::Frontend)),
    ];
    parts.extend(edge_proxy);
    parts.extend([
        (ConditionType::TimeoutsAligned, timeouts::timeouts(context, mode)),
        (ConditionType::ExposureReady, exposure::exposure(context)),
    ]);
    let ready = mode.ready(&parts);
    let abnormal = abnormal::abnormal(context, &ready);
    let written = Written {
        previous: &context.observation.previous.conditions,
        generation: context.installation.identity.generation,
        now: context.observation.now,
    };
    [(ConditionType::Ready, ready)]
        .into_iter()
        .chain(parts)
        .chain(abnormal)
        .map(|(kind, verdict)| written.condition(kind, verdict))
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
    let written = Written { previous, generation, now };
    let summary = |kind, status| written.condition(kind, Verdict::new(status, code.as_str(), message));
    let unknown = Verdict::new(
        ConditionStatus::Unknown,
        code.as_str(),
        "not looked at: the specification is not valid",
    );
    let known = previous
        .iter()
        .filter(|known| !ConditionType::SUMMARY.iter().any(|kind| kind.as_str() == known.type_))
        .cloned();
    let missing = ConditionType::PARTS
        .into_iter()
        .filter(|kind| kind.find(previous).is_none())
        .map(|kind| written.condition(kind, unknown.clone()));
    [summary(ConditionType::Ready, ConditionStatus::False)]
        .into_iter()
        .chain(known)
        .chain(missing)
        .chain([summary(ConditionType::Stalled, ConditionStatus::True)])
        .collect()
}

/// What a condition is written with besides its verdict.
struct Written<'a> {
    previous: &'a [Condition],
    generation: i64,
    now: Timestamp,
}

impl Written<'_> {
    /// The transition time moves only when the status does.
    fn condition(&self, kind: ConditionType, verdict: Verdict) -> Condition {
        let since = kind
            .find(self.previous)
            .filter(|known| known.status == verdict.status.as_str())
            .map_or(Time(self.now), |known| known.last_transition_time.clone());
        Condition {
            type_: kind.as_str().to_owned(),
            status: verdict.status.as_str().to_owned(),
            reason: verdict.reason.to_owned(),
            message: verdict.message,
            observed_generation: Some(self.generation),
            last_transition_time: since,
        }
    }
}
