//! Pods stop serving before proxies know that they end.

use super::shared::running::Running;
use crate::{
    causes::prelude::*,
    timeouts::rules::{Rule, Verdict},
    validate::Change,
};

pub(crate) static CAUSE: Cause =
    Cause { check: Some(check), ..Cause::warning(Component::Api, include_str!("pre_stop_too_short.md")) };

/// What its lack was seen to cost (tests/load).
const MEASURED: &str = "measured without preStop and with 150 requests a second: in each rolling restart about one \
                        request fails behind nginx, and 16 behind haproxy";

fn check(context: &Context<'_>) -> Vec<Draft> {
    context.running().and_then(of).into_iter().collect()
}

fn of(running: &Running<'_>) -> Option<Draft> {
    let values = &running.values;
    if Rule::EndpointsLeaveFirst.check(values) != Verdict::Broken {
        return None;
    }
    let pre_stop = values.pre_stop?;
    let mut evidence = vec![format!(
        "Deployment {}: {}, terminationGracePeriodSeconds {}",
        running.deployment,
        if pre_stop == 0 { "no preStop".to_owned() } else { format!("a preStop of {pre_stop} s") },
        values.grace_period
    )];
    // To have none is the default, which is not the owner's choice.
    let severity = if pre_stop == 0 {
        evidence.push(MEASURED.to_owned());
        running.severity(&[])
    } else {
        Severity::Warning
    };
    let ours = running.ours();
    let reset = running.front.proxy().map_or("an error", |proxy| proxy.reset);
    Some(Draft {
        code: Code::PreStopTooShort,
        severity,
        component: Component::Api,
        message: format!(
            "A pod that is told to end stops serving at once, while proxies send it requests for some seconds more: \
             at every rollout and scale-down clients see {reset}."
        ),
        evidence,
        remedy: running.set(
            &[],
            &[
                Change::PreStop(Component::Api, ours.pre_stop),
                Change::GracePeriod(Component::Api, ours.grace_period.max(values.grace_period)),
            ],
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shared::testing::{UNSET, changed, container, first, none, observed_with, of_chart};
    use crate::{
        causes::diagnose,
        fixtures::{chart_0_82, objects, observed},
        model::Code,
    };

    #[test]
    fn one_change_has_one_name() {
        let path = "/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds";
        assert_eq!(changed(path, &json!(2)), [Code::PreStopTooShort]);
    }

    #[test]
    fn the_charts_owner_is_told_what_to_type() {
        let (installation, observation) = observed_with(&none, &none);
        let found = diagnose(&installation, &observation);
        assert_eq!(
            first(&found, Code::PreStopTooShort).remedy,
            format!(
                "{UNSET}--set api.lifecycle.preStop.exec=null,api.lifecycle.preStop.sleep.seconds=10 --set api.terminationGracePeriodSeconds=50"
            )
        );
    }

    /// Chart 0.82.0 has a hook of its own, a program: one handler has to go before the other is accepted.
    #[test]
    fn a_hook_of_the_chart_is_exchanged() {
        let shown = |manifest: &str| {
            let (found, seen) = observed("acme", &objects(manifest));
            diagnose(&found.installation, &seen)
        };
        let made = chart_0_82();
        let found = shown(&made);
        assert!(found.iter().all(|it| it.code != Code::PreStopTooShort), "20 s are enough: {found:#?}");
        assert_eq!(
            first(&shown(&made.replace("[sleep, \"20\"]", "[sleep, \"2\"]")), Code::PreStopTooShort).remedy,
            "helm get values acme --namespace prod --output yaml | helm upgrade acme flagsmith/flagsmith --namespace prod \
             --version 0.82.0 --values - --set api.lifecycle.preStop.exec=null,api.lifecycle.preStop.sleep.seconds=10 \
             --set api.terminationGracePeriodSeconds=75"
        );
    }

    #[test]
    fn what_a_script_does_is_not_judged() {
        let found = of_chart(
            &|pods| {
                container(pods)["lifecycle"] = json!({ "preStop": { "exec": { "command": ["/drain"] } } });
            },
            &none,
        );
        assert!(found.iter().all(|it| it.code != Code::PreStopTooShort), "{found:#?}");
    }
}
