//! How a component is reached inside of the cluster, and how many of its pods may be missing.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Service of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `type` of the Service: `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(rename = "type", default)]
    pub kind: ServiceType,
    /// Annotations of the Service, for example for external-dns, or for a `BackendConfig` of GKE. One that sets a timeout
    /// stays, in place of the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the Service. Those that the operator sets are refused here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Where a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside of the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// Besides on a port of each node.
    NodePort,
    /// Besides at a load balancer of the cloud.
    LoadBalancer,
}

/// The `PodDisruptionBudget` of a component. By default one pod at a time may be evicted, which never blocks the drain
/// of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.minAvailable) && has(self.maxUnavailable))").message("minAvailable and maxUnavailable exclude each other: remove one of them"))]
pub struct DisruptionBudgetSpec {
    /// Whether there is one.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// How many pods may be missing, as a number or a percentage. 1 if neither this nor `minAvailable` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// How many pods must be there, as a number or a percentage. With as many as there are, no node can be drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// Which pods that are not ready may be evicted: `AlwaysAllow` or `IfHealthyBudget`. A pod that is not ready serves
    /// nobody.
    #[serde(default)]
    pub unhealthy_pod_eviction_policy: UnhealthyPodEviction,
}

/// When a pod that is not ready may be evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnhealthyPodEviction {
    /// Whenever.
    #[default]
    AlwaysAllow,
    /// When enough others are ready.
    IfHealthyBudget,
}

impl Default for DisruptionBudgetSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            max_unavailable: None,
            min_available: None,
            unhealthy_pod_eviction_policy: UnhealthyPodEviction::default(),
        }
    }
}

const fn enabled() -> bool {
    true
}
