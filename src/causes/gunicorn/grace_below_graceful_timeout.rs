//! Pods are killed before they have finished.

use super::shared::running::{Running, seconds};
use crate::{
    causes::prelude::*,
    timeouts::rules::{Rule, Verdict},
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("grace_below_graceful_timeout.md"))
};

/// What the grace period has above preStop and graceful timeout.
const MARGIN: i32 = 5;

fn check(context: &Context<'_>) -> Vec<Draft> {
    context.running().and_then(of).into_iter().collect()
}

fn of(running: &Running<'_>) -> Option<Draft> {
    let values = &running.values;
    let killed = Rule::GraceOutlastsShutdown.check(values) == Verdict::Broken;
    let cut = Rule::GracefulOutlastsRequest.check(values) == Verdict::Broken;
    if !killed && !cut {
        return None;
    }
    let pre_stop = values.pre_stop.unwrap_or_default();
    let graceful = values.graceful_timeout?;
    let needed = graceful.max(values.gunicorn_timeout.unwrap_or_default());
    let grace = pre_stop.saturating_add(needed).saturating_add(MARGIN);
    let message = if killed {
        format!(
            "A pod that is told to end is killed after {} s, but preStop ({pre_stop} s) and Gunicorn's graceful \
             timeout ({graceful} s) need {} s: requests that run at the end are cut at every rollout.",
            values.grace_period,
            pre_stop.saturating_add(graceful),
        )
    } else {
        format!(
            "A request may take {}, but Gunicorn gives requests only {graceful} s when a pod is told to end: longer \
             ones are cut at every rollout.",
            seconds(values.gunicorn_timeout),
        )
    };
    let longer: &[(&str, i32)] = if cut { &[("--graceful-timeout", needed)] } else { &[] };
    Some(Draft {
        message,
        evidence: vec![format!(
            "Deployment {}: terminationGracePeriodSeconds {}, preStop {}, --timeout {}, --graceful-timeout {graceful} s",
            running.deployment,
            values.grace_period,
            seconds(values.pre_stop),
            seconds(values.gunicorn_timeout),
        )],
        remedy: running.set(longer, &[Change::GracePeriod(Component::Api, grace)]),
        ..Code::GraceBelowGracefulTimeout.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::shared::testing::changed;
    use crate::model::Code;

    #[rstest]
    #[case::killed("/spec/template/spec/terminationGracePeriodSeconds", json!(40))]
    #[case::cut(
        "/spec/template/spec/containers/0/args",
        json!(["start", "--timeout", "60", "--graceful-timeout", "30", "api"])
    )]
    fn one_change_has_one_name(#[case] path: &str, #[case] value: Value) {
        assert_eq!(changed(path, &value), [Code::GraceBelowGracefulTimeout]);
    }
}
