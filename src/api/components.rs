//! The workloads of an installation.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        autoscaling::v2::HorizontalPodAutoscalerBehavior,
        core::v1::{EnvFromSource, EnvVar, Probe, ResourceRequirements, SecurityContext, VolumeMount},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DisruptionBudgetSpec, PodSettings, ServiceSpec};

/// Settings of the main container of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSettings {
    /// Environment variables of this component only; they take precedence over `spec.env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// `ConfigMaps` and Secrets whose keys become environment variables of this component.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// Replaces the container's security context (by default: restricted Pod Security, read-only root).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<Box<SecurityContext>>,
    /// Additional volume mounts; list their volumes in `pod.volumes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Replaces the operator's startup probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Box<Probe>>,
    /// Replaces the operator's liveness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Box<Probe>>,
    /// Replaces the operator's readiness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Box<Probe>>,
    /// Pod settings: scheduling, security, metadata, volumes, further containers.
    #[serde(skip_serializing_if = "is_default")]
    pub pod: PodSettings,
}

/// A `HorizontalPodAutoscaler` that scales on CPU utilization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message("minReplicas must not be above maxReplicas"))]
pub struct AutoscalingSpec {
    /// The minimum number of pods.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(min = 1))]
    pub min_replicas: i32,
    /// The maximum number of pods.
    #[schemars(range(min = 1))]
    pub max_replicas: i32,
    /// The average CPU utilization of the pods to aim for, in percent of their request.
    #[serde(default = "default_cpu_utilization", rename = "targetCPUUtilizationPercentage")]
    #[schemars(range(min = 1, max = 100))]
    pub target_cpu_utilization_percentage: i32,
    /// How fast it scales up and down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Box<HorizontalPodAutoscalerBehavior>>,
}

/// Gunicorn's processes and threads. Its timeouts are computed from `requestTimeoutSeconds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GunicornSpec {
    /// `GUNICORN_WORKERS`: worker processes per pod, each of about 200 MB.
    #[schemars(range(min = 1, max = 64))]
    pub workers: i32,
    /// `GUNICORN_THREADS`: threads per worker. 1 selects the sync worker class, whose workers are killed in the middle
    /// of a request that exceeds the timeout.
    #[schemars(range(min = 1, max = 64))]
    pub threads: i32,
    /// How long Gunicorn keeps an idle connection open (`--keep-alive`), in seconds. It must exceed the proxy's idle
    /// timeout, and is derived from that if not set. 0 closes each connection after its response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 7200))]
    pub keep_alive_seconds: Option<i32>,
}

/// The Django API behind Gunicorn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiSpec {
    /// The number of API pods. 2 if neither this nor `autoscaling` is set. Ignored while a `HorizontalPodAutoscaler` of
    /// your own targets the Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// A `HorizontalPodAutoscaler` instead of a fixed number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
    /// Compute resources of the container.
    pub resources: ResourceRequirements,
    /// Gunicorn's processes and threads.
    pub gunicorn: GunicornSpec,
    /// The Service in front of the pods.
    #[serde(skip_serializing_if = "is_default")]
    pub service: ServiceSpec,
    /// How many of the pods may be evicted at once.
    #[serde(skip_serializing_if = "is_default")]
    pub pod_disruption_budget: DisruptionBudgetSpec,
    /// Container and pod settings.
    #[serde(flatten)]
    pub container: ContainerSettings,
}

/// The web interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendSpec {
    /// Whether to install the frontend.
    pub enabled: bool,
    /// The number of frontend pods. 1 if neither this nor `autoscaling` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// A `HorizontalPodAutoscaler` instead of a fixed number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
    /// Compute resources of the container.
    pub resources: ResourceRequirements,
    /// The Service in front of the pods.
    #[serde(skip_serializing_if = "is_default")]
    pub service: ServiceSpec,
    /// How many of the pods may be evicted at once.
    #[serde(skip_serializing_if = "is_default")]
    pub pod_disruption_budget: DisruptionBudgetSpec,
    /// Container and pod settings.
    #[serde(flatten)]
    pub container: ContainerSettings,
}

impl Default for GunicornSpec {
    /// The values of Flagsmith's image since 2.253.0.
    fn default() -> Self {
        Self { workers: 3, threads: 2, keep_alive_seconds: None }
    }
}

impl Default for ApiSpec {
    fn default() -> Self {
        Self {
            replicas: None,
            autoscaling: None,
            // Three workers and the arbiter of about 200 MB each; the limit is that of Flagsmith's documentation.
            resources: resources("250m", "1Gi", "2Gi"),
            gunicorn: GunicornSpec::default(),
            service: ServiceSpec::default(),
            pod_disruption_budget: DisruptionBudgetSpec::default(),
            container: ContainerSettings::default(),
        }
    }
}

impl Default for FrontendSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            replicas: None,
            autoscaling: None,
            resources: resources("50m", "128Mi", "512Mi"),
            service: ServiceSpec::default(),
            pod_disruption_budget: DisruptionBudgetSpec::default(),
            container: ContainerSettings::default(),
        }
    }
}

const fn default_min_replicas() -> i32 {
    2
}

/// The value that Flagsmith's sizing guide scales at.
const fn default_cpu_utilization() -> i32 {
    60
}

/// Requests for CPU and memory, and a limit for memory only: a CPU limit makes Gunicorn's heartbeats late.
pub(super) fn resources(cpu: &str, memory: &str, memory_limit: &str) -> ResourceRequirements {
    let quantity = |value: &str| Quantity(value.to_owned());
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), quantity(cpu)),
            ("memory".to_owned(), quantity(memory)),
        ])),
        limits: Some(BTreeMap::from([("memory".to_owned(), quantity(memory_limit))])),
        claims: None,
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
