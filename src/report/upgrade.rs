//! The way to the wanted release in the status. Pure.

use super::context::Context;
use crate::{
    api::{StopState, StopStatus, UpgradeStatus},
    decide::Gate,
    flagsmith::{Release, upgrades},
};

/// Every stop of an upgrade that has several, until pods of the last one serve.
pub(super) fn upgrade(context: Context<'_>) -> Option<UpgradeStatus> {
    let step = context.plan.step.as_ref().filter(|step| step.path.len() > 1)?;
    let from = context.observation.oldest_api()?;
    let gate = &context.plan.gate;
    let state = |release: Release| match (release.cmp(&step.release), gate) {
        (std::cmp::Ordering::Less, _) | (std::cmp::Ordering::Equal, Gate::Succeeded) => StopState::Applied,
        (std::cmp::Ordering::Equal, Gate::Failed { .. }) => StopState::Failed,
        (std::cmp::Ordering::Equal, _) => StopState::Current,
        (std::cmp::Ordering::Greater, _) => StopState::Waiting,
    };
    let releases = step.path.iter().map(|stop| stop.release);
    let applied: Vec<Release> = releases.filter(|release| state(*release) == StopState::Applied).collect();
    // A Job that has begun may have made anything of its release.
    let begun = matches!(gate, Gate::Running(_) | Gate::Unrecorded(_) | Gate::Failed { .. });
    let schema = if begun { step.release } else { applied.last().copied().unwrap_or(from) };
    let serves = |release: &Release| upgrades::incompatible(*release, schema).is_none();
    Some(UpgradeStatus {
        from: from.to_string(),
        stops: step
            .path
            .iter()
            .map(|stop| StopStatus {
                version: stop.release.to_string(),
                state: state(stop.release),
                reason: stop.why.to_string(),
            })
            .collect(),
        can_serve: [from].into_iter().chain(applied).filter(serves).map(|it| it.to_string()).collect(),
    })
}
