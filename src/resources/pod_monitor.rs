//! How Prometheus finds the metrics of the API's and the task processor's pods: a `PodMonitor` (Prometheus operator,
//! `monitoring.coreos.com/v1`) or annotations of the pods.

use serde_json::{Map, Value, json};

use super::child::{child, with_common};
use crate::{
    flagsmith::{METRICS_PORT, Release, SERVES_METRICS_SINCE},
    model::{
        Component,
        child::{Child, Kind, marks},
    },
    validate::Installation,
};

const PATH: &str = "/metrics";

/// One object for both: they differ in nothing but a label. Like the chart's of all installations it gives the series the
/// labels by which the dashboards tell installations apart.
pub(super) fn build(installation: &Installation) -> Option<Child> {
    let spec = installation.monitoring.as_ref()?.pod_monitor.as_ref()?;
    if installation.release < SERVES_METRICS_SINCE {
        return None;
    }
    let annotations: Map<String, Value> =
        spec.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let components = [Component::Api, Component::TaskProcessor].map(Component::as_str);
    let mut child = child(
        installation,
        Kind::PodMonitor,
        &installation.identity.name,
        None,
        annotations,
        json!({ "spec": {
            "selector": {
                "matchLabels": {
                    marks::INSTANCE: installation.identity.name,
                    marks::MANAGED_BY: marks::OPERATOR,
                },
                "matchExpressions": [{ "key": marks::COMPONENT, "operator": "In", "values": components }],
            },
            "podMetricsEndpoints": [{
                "port": "metrics",
                "path": PATH,
                "interval": spec.interval,
                "relabelings": [
                    { "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"], "targetLabel": "name" },
                    { "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_component"], "targetLabel": "component" },
                ],
            }],
        } }),
    );
    let own = child.body.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    child.set_metadata("labels", Value::Object(with_common(&spec.labels, own)));
    Some(child)
}

/// What a Prometheus that is configured to find pods by annotations reads of a pod.
pub(super) fn annotations(
    installation: &Installation,
    component: Component,
    release: Option<Release>,
) -> Map<String, Value> {
    let wanted =
        installation.monitoring.as_ref().is_some_and(|monitoring| monitoring.pod_annotations.is_some());
    let serves = matches!(component, Component::Api | Component::TaskProcessor)
        && release.is_some_and(|release| release >= SERVES_METRICS_SINCE);
    if !(wanted && serves) {
        return Map::new();
    }
    Map::from_iter([
        ("prometheus.io/scrape".to_owned(), json!("true")),
        ("prometheus.io/port".to_owned(), json!(METRICS_PORT.to_string())),
        ("prometheus.io/path".to_owned(), json!(PATH)),
    ])
}
