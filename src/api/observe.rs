//! Who owns the workloads of an installation, and which ones are looked at when somebody else does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProxySpec;

/// Who owns the workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// The operator makes and keeps them.
    #[default]
    Managed,
    /// Somebody else does; the operator diagnoses them and writes nothing but its own status.
    Observed,
}

/// Which installation is observed: exactly one of `release` and `components`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.release) || has(self.components)").message("one of release and components is needed: release is the name of a Helm release of the official chart, components name the Deployments of anything else"),
    validation = Rule::new("!(has(self.release) && has(self.components))").message("release and components exclude each other: remove components if the official chart made the installation"),
)]
pub struct ObserveSpec {
    /// The name of a Helm release of the official chart, in the namespace of this resource. Its objects are
    /// found by the chart's labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release: Option<String>,

    /// The Deployments of an installation that the official chart did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<ObservedComponents>,

    /// What stands in front of the Ingress or `HTTPRoute`, where the operator cannot see it by itself: it recognises a
    /// proxy by the controller of the `IngressClass` or of the Gateway's class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySpec>,
}

/// One Deployment for each component, and the migration Jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedComponents {
    /// The Deployment of the API.
    pub api: WorkloadReference,

    /// The Deployment of the task processor; without it the API is expected to run tasks itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_processor: Option<WorkloadReference>,

    /// The Deployment of the frontend; without it no frontend is expected.
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
