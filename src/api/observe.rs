//! Whether the operator manages an installation, and which objects to observe if it does not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProxySpec;

/// Whether the operator manages the workloads or only observes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// The operator creates and maintains them.
    #[default]
    Managed,
    /// They are managed in another way; the operator diagnoses them and writes only the status of this resource.
    Observed,
}

/// Which installation to observe. Exactly one of `release` and `components` must be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.release) || has(self.components)").message("one of release and components is needed: release is the name of a Helm release of the official chart, components name the Deployments of anything else"),
    validation = Rule::new("!(has(self.release) && has(self.components))").message("release and components exclude each other: remove components if the official chart made the installation"),
)]
pub struct ObserveSpec {
    /// The name of a Helm release of the official chart, in the namespace of this resource. Its objects are
    /// selected by the chart's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release: Option<String>,

    /// The Deployments of an installation that was not created by the official chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<ObservedComponents>,

    /// The proxy that serves the Ingress or `HTTPRoute`, for cases in which the operator cannot recognise it by the
    /// controller of the `IngressClass` or `GatewayClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySpec>,
}

/// One Deployment for each component, and the migration Jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedComponents {
    /// The Deployment of the API.
    pub api: WorkloadReference,

    /// The Deployment of the task processor. If not set, the API is expected to run tasks itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_processor: Option<WorkloadReference>,

    /// The Deployment of the frontend. If not set, no frontend is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<WorkloadReference>,

    /// The Jobs that migrate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<WorkloadReference>,
}

/// An object by its name, or objects by their labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.selector)").message("exactly one of name and selector is needed"))]
pub struct WorkloadReference {
    /// Its name, in the namespace of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,

    /// Labels of the object itself, not of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}
