//! A processor that looks for work so rarely that users notice.

use jiff::SignedDuration;

use super::{
    super::{Code, Component, Diagnosis, Severity},
    of_tasks, phrasing, settings,
};
use crate::{
    flagsmith::env,
    observe::{Observation, WorkloadState},
    validate::{Change, Installation},
};

/// Flagsmith's default, in milliseconds.
const DEFAULT: &str = "500";

/// A wait that users notice.
const SLOW: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn check(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let state = observation
        .task_processor
        .as_ref()
        .filter(|state| state.desired > 0)?;
    let sleep = settings(installation).sleep;
    (sleep > SLOW).then(|| {
        of_tasks(
            Code::TaskSleepIntervalHigh,
            Severity::Info,
            format!(
                "Every task waits up to {} before it is looked at: webhooks and scheduled changes are that late.",
                phrasing::setting(sleep)
            ),
            vec![format!(
                "Deployment {}: sleep interval {} ms; Flagsmith's default is {DEFAULT}",
                state.name,
                sleep.as_millis()
            )],
            installation
                .managed_by
                .change(&[Change::Env(Component::TaskProcessor, variable(state), DEFAULT)]),
        )
    })
}

/// The variable that decides: of the two names the newer one wins.
fn variable(state: &WorkloadState) -> &'static str {
    let newer = state.container().is_some_and(|container| {
        container
            .environment
            .value(env::TASK_PROCESSOR_SLEEP_INTERVAL_MS)
            .is_some()
    });
    if newer {
        env::TASK_PROCESSOR_SLEEP_INTERVAL_MS
    } else {
        env::TASK_PROCESSOR_SLEEP_INTERVAL
    }
}
