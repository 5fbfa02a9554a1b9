//! A processor that looks for work so rarely that users notice.

use jiff::SignedDuration;

use super::{
    super::{Code, Diagnosis, Severity},
    of_tasks, settings, words,
};
use crate::{observe::Observation, validate::Installation};

/// A wait that users notice; Flagsmith's default is half a second.
const SLOW: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn check(installation: &Installation, seen: &Observation) -> Option<Diagnosis> {
    let state = seen.task_processor.as_ref().filter(|state| state.desired > 0)?;
    let sleep = settings(installation).sleep;
    (sleep > SLOW).then(|| {
        of_tasks(
            Code::TaskSleepIntervalHigh,
            Severity::Info,
            format!(
                "Every task waits up to {} before it is looked at: webhooks and scheduled changes are that late.",
                words::setting(sleep)
            ),
            vec![format!(
                "Deployment {}: sleep interval {} ms; Flagsmith's default is 500",
                state.name,
                sleep.as_millis()
            )],
            "Set spec.taskProcessor.sleepIntervalMilliseconds to 500, or remove it.".to_owned(),
        )
    })
}
