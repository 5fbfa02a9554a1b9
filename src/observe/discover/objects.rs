//! The objects of a namespace among which an installation is looked for.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::core::DynamicObject;

/// The objects of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Deployments.
    pub deployments: Vec<Arc<Deployment>>,
    /// Jobs.
    pub jobs: Vec<Arc<Job>>,
    /// Pods.
    pub pods: Vec<Arc<Pod>>,
    /// Services.
    pub services: Vec<Arc<Service>>,
    /// Ingresses.
    pub ingresses: Vec<Arc<Ingress>>,
    /// `HorizontalPodAutoscalers`.
    pub autoscalers: Vec<Arc<HorizontalPodAutoscaler>>,
    /// `HTTPRoutes`; `None` where the cluster has no such kind.
    pub routes: Option<Vec<Arc<DynamicObject>>>,
    /// What could not be seen, in a sentence each.
    pub not_seen: Vec<String>,
}
