//! The edge proxy: answers clients from memory, with the flags that it asks the API for again and again.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AutoscalingSpec, ContainerSettings, DisruptionBudgetSpec, SecretValueSource, ServiceSpec,
    components::{is_default, resources},
};

/// The newest release of the edge proxy that the operator was tried with.
const IMAGE: &str = "docker.flagsmith.com/flagsmith/edge-proxy:2.23.0";

/// The edge proxy's own default, in seconds.
const POLL_INTERVAL: i32 = 10;

/// The edge proxy. It keeps the flags of some environments in memory and answers SDKs with them, also while the API is
/// away; it stores nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeProxySpec {
    /// The image with its tag or digest: the edge proxy has releases of its own.
    #[serde(default = "image")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^[a-zA-Z0-9]([a-zA-Z0-9._/-]*[a-zA-Z0-9])?(:[0-9]+/[a-zA-Z0-9._/-]*[a-zA-Z0-9])?(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$') && (self.contains('@') || self.matches('[^/]:[^/]*$'))").message("must be an image with a tag or a digest, such as \"docker.flagsmith.com/flagsmith/edge-proxy:2.23.0\": it has releases of its own, and without a tag another one would be pulled some day"))]
    pub image: String,

    /// The environments that it answers for. One whose key is refused keeps the pods from being ready for all of them.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.size() >= 1").message("name at least one environment by its two keys"))]
    pub environments: Vec<EdgeEnvironment>,

    /// How long it waits before it asks the API again for what an environment's flags are, in seconds. Each pod asks for
    /// each environment, and each answer is read from the database.
    #[serde(default = "poll_interval")]
    #[schemars(range(min = 1, max = 86_400))]
    pub poll_interval_seconds: i32,

    /// The number of pods. 1 if neither this nor `autoscaling` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// A `HorizontalPodAutoscaler` instead of a fixed number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,

    /// Compute resources of the container.
    #[serde(default = "default_resources")]
    pub resources: ResourceRequirements,

    /// The Service in front of the pods.
    #[serde(default, skip_serializing_if = "is_default")]
    pub service: ServiceSpec,

    /// How many of the pods may be evicted at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod_disruption_budget: DisruptionBudgetSpec,

    /// Container and pod settings.
    #[serde(flatten)]
    pub container: ContainerSettings,
}

/// One environment of a project, by its keys (the dashboard's page "SDK Keys").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeEnvironment {
    /// The client-side key, by which SDKs ask.
    pub client_side_key_from: SecretValueSource,
    /// A server-side key, "ser." and letters, by which the edge proxy asks the API.
    pub server_side_key_from: SecretValueSource,
}

fn image() -> String {
    IMAGE.to_owned()
}

const fn poll_interval() -> i32 {
    POLL_INTERVAL
}

/// One process of Python that computes in its event loop; its memory grows with the environments' documents.
fn default_resources() -> ResourceRequirements {
    resources("100m", "128Mi", "512Mi")
}
