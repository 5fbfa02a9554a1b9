//! Prometheus cannot find the metrics as the specification asks for.

use crate::{
    api::MonitoringSpec,
    causes::prelude::*,
    flagsmith::{METRICS_PORT, SERVES_METRICS_SINCE},
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(|context| check(context).into_iter().collect()),
    ..Cause::info(Component::Api, include_str!("metrics_not_collected.md"))
};

fn check(context: &Context<'_>) -> Option<Draft> {
    let MonitoringSpec { pod_monitor, .. } = context.installation.monitoring.as_ref()?;
    let release = context.installation.release;
    if release < SERVES_METRICS_SINCE {
        return Some(Draft {
            message: format!(
                "Flagsmith {release} serves no metrics of its own, so spec.monitoring has no effect."
            ),
            evidence: vec![format!(
                "Flagsmith has metrics on port {METRICS_PORT} since {SERVES_METRICS_SINCE}"
            )],
            remedy: format!(
                "Set spec.version to {SERVES_METRICS_SINCE} or later, or remove spec.monitoring."
            ),
            ..Code::MetricsNotCollected.draft()
        });
    }
    if pod_monitor.is_none() || context.observation.pod_monitor_api {
        return None;
    }
    Some(Draft {
        message: "A PodMonitor is wanted, but the cluster does not have the Prometheus operator's API: nobody reads \
                  Flagsmith's metrics by it. Flagsmith itself is not affected."
            .to_owned(),
        evidence: vec!["the API server does not serve podmonitors.monitoring.coreos.com/v1".to_owned()],
        remedy: "Install the Prometheus operator (its PodMonitor is found within half a minute), or set \
                 spec.monitoring.podAnnotations: {} in place of podMonitor, for a Prometheus that finds pods by annotations."
            .to_owned(),
        ..Code::MetricsNotCollected.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::{
        causes::diagnose,
        fixtures::{empty_observation, installation, spec},
        model::{Code, Severity},
        observe::Observation,
    };

    #[rstest]
    #[case::not_asked_for("2.265.0", Value::Null, false, None)]
    #[case::made("2.265.0", json!({ "podMonitor": {} }), true, None)]
    #[case::annotations_need_no_api("2.265.0", json!({ "podAnnotations": {} }), false, None)]
    #[case::no_api("2.265.0", json!({ "podMonitor": {} }), false, Some("the Prometheus operator's API"))]
    #[case::too_old("2.210.0", json!({ "podMonitor": {} }), true, Some("2.210.0 serves no metrics"))]
    #[case::too_old_for_annotations("2.210.0", json!({ "podAnnotations": {} }), true, Some("2.210.0 serves no metrics"))]
    fn is_said_where_it_is_asked_for_and_cannot_be(
        #[case] version: &str,
        #[case] monitoring: Value,
        #[case] pod_monitor_api: bool,
        #[case] said: Option<&str>,
    ) {
        let installation = installation(&spec(json!({ "version": version, "monitoring": monitoring })));
        let observation = Observation { pod_monitor_api, ..empty_observation() };
        let found = diagnose(&installation, &observation);
        let found = found.iter().find(|it| it.code == Code::MetricsNotCollected);
        assert_eq!(found.map(|it| it.severity), said.map(|_| Severity::Info));
        let message = found.map(|it| it.message.to_string()).unwrap_or_default();
        assert!(message.contains(said.unwrap_or_default()), "{message}");
    }
}
