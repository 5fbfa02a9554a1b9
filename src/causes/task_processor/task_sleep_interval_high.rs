//! The task processor looks for tasks rarely.

use jiff::SignedDuration;

use super::shared::{diagnosis::diagnosis, processors::Settings};
use crate::{
    causes::{prelude::*, steps::setting},
    flagsmith::env,
    observe::WorkloadState,
    validate::Change,
};

/// Flagsmith's default, in milliseconds.
const DEFAULT: &str = "500";

/// A wait that users notice.
const SLOW: SignedDuration = SignedDuration::from_secs(5);

pub(crate) static CAUSE: Cause = Cause {
    check: Some(|context| sleeps_long(context).into_iter().collect()),
    ..Cause::info(Component::TaskProcessor, include_str!("task_sleep_interval_high.md"))
};

fn sleeps_long(context: &Context<'_>) -> Option<Draft> {
    let state = context.observation.task_processor.as_ref().filter(|state| state.desired > 0)?;
    let sleep = Settings::of(context.installation).sleep;
    (sleep > SLOW).then(|| {
        diagnosis(
            Code::TaskSleepIntervalHigh,
            Severity::Info,
            format!(
                "Every task waits up to {} before it is looked at: webhooks and scheduled changes are that late.",
                setting(sleep)
            ),
            vec![format!(
                "Deployment {}: sleep interval {} ms; Flagsmith's default is {DEFAULT}",
                state.name,
                sleep.as_millis()
            )],
            context
                .installation
                .managed_by
                .change(&[Change::Env(Component::TaskProcessor, variable(state), DEFAULT)]),
        )
    })
}

/// The variable that decides: of the two names the newer one wins.
fn variable(state: &WorkloadState) -> &'static str {
    let newer = state.container().is_some_and(|container| {
        container.environment.value(env::TASK_PROCESSOR_SLEEP_INTERVAL_MS).is_some()
    });
    if newer { env::TASK_PROCESSOR_SLEEP_INTERVAL_MS } else { env::TASK_PROCESSOR_SLEEP_INTERVAL }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::{
        causes::{
            diagnose,
            task_processor::shared::testing::{assert_typed_at_helm, with_queue},
        },
        fixtures::{installation, spec},
        model::Code,
    };

    #[rstest]
    #[case::the_default(500, false)]
    #[case::too_short_to_notice(5_000, false)]
    #[case::a_minute(60_000, true)]
    fn sleeping(#[case] milliseconds: i32, #[case] expected: bool) {
        let wanted =
            installation(&spec(json!({ "taskProcessor": { "sleepIntervalMilliseconds": milliseconds } })));
        let found = diagnose(&wanted, &with_queue(|_| {}));
        let codes: Vec<Code> = found.iter().map(|diagnosis| diagnosis.code).collect();
        let expected = if expected { vec![Code::TaskSleepIntervalHigh] } else { vec![] };
        assert_eq!(codes, expected, "{found:?}");
    }

    #[test]
    fn the_remedy_can_be_typed_at_the_chart() {
        assert_typed_at_helm(
            &with_queue(|_| {}),
            Code::TaskSleepIntervalHigh,
            "--set taskProcessor.sleepIntervalMs=500",
        );
    }
}
