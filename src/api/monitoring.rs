//! How Prometheus finds Flagsmith's own metrics.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How Prometheus finds the metrics of the API's and the task processor's pods (port 9100, Flagsmith 2.211.0 or later).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.podMonitor) != has(self.podAnnotations)").message("exactly one of podMonitor and podAnnotations is needed: by both, Prometheus would read each pod twice"),
)]
pub struct MonitoringSpec {
    /// A `PodMonitor` (monitoring.coreos.com/v1) of both, for the Prometheus operator; created once the cluster has that
    /// API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_monitor: Option<PodMonitorSpec>,

    /// The annotations prometheus.io/scrape, prometheus.io/port and prometheus.io/path of the pods, for a Prometheus that
    /// is configured to find pods by them. Setting or removing this replaces the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_annotations: Option<PodAnnotationsSpec>,
}

/// Settings of the `PodMonitor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitorSpec {
    /// How often Prometheus reads each pod, for example "1m".
    #[serde(default = "default_interval")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]*(ms|s|m|h)$')").message("must be a duration such as \"30s\" or \"1m\""))]
    pub interval: String,
    /// Labels of the `PodMonitor`: those by which your Prometheus selects it, for example release: prometheus.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the `PodMonitor`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// As often as the chart has the operator's own metrics read.
fn default_interval() -> String {
    "30s".to_owned()
}

/// The annotations by which Prometheus finds pods. There is nothing to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct PodAnnotationsSpec {}
