//! The objects of a namespace among which an installation is looked for.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::{
    Api, Client,
    api::ListParams,
    core::{DynamicObject, NamespaceResourceScope},
};
use serde::de::DeserializeOwned;

use crate::model::child::Kind;

/// Objects of one kind that are looked at: more than a namespace with a Flagsmith in it has.
const LIMIT: u32 = 1000;

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

impl Objects {
    /// Lists a namespace once, for a command that ends at once.
    pub async fn list(client: &Client, namespace: &str) -> Self {
        let (deployments, jobs, pods, services, ingresses, autoscalers, routes) = tokio::join!(
            list::<Deployment>(client, namespace),
            list::<Job>(client, namespace),
            list::<Pod>(client, namespace),
            list::<Service>(client, namespace),
            list::<Ingress>(client, namespace),
            list::<HorizontalPodAutoscaler>(client, namespace),
            list_routes(client, namespace),
        );
        let mut not_seen = Vec::new();
        Self {
            deployments: listed_or_noted(deployments, "Deployments", &mut not_seen),
            jobs: listed_or_noted(jobs, "Jobs", &mut not_seen),
            pods: listed_or_noted(pods, "pods", &mut not_seen),
            services: listed_or_noted(services, "Services", &mut not_seen),
            ingresses: listed_or_noted(ingresses, "Ingresses", &mut not_seen),
            autoscalers: listed_or_noted(autoscalers, "HorizontalPodAutoscalers", &mut not_seen),
            routes: routes
                .transpose()
                .map(|routes| listed_or_noted(routes, "HTTPRoutes", &mut not_seen)),
            not_seen,
        }
    }
}

type Listed<T> = Result<Vec<Arc<T>>, kube::Error>;

async fn list<T>(client: &Client, namespace: &str) -> Listed<T>
where
    T: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<T> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default().limit(LIMIT)).await?;
    Ok(list.items.into_iter().map(Arc::new).collect())
}

async fn list_routes(
    client: &Client,
    namespace: &str,
) -> Result<Option<Vec<Arc<DynamicObject>>>, kube::Error> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &Kind::HttpRoute.api_resource());
    match api.list(&ListParams::default().limit(LIMIT)).await {
        Ok(list) => Ok(Some(list.items.into_iter().map(Arc::new).collect())),
        // A cluster without the Gateway API has none.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

fn listed_or_noted<T>(listed: Listed<T>, kind: &str, not_seen: &mut Vec<String>) -> Vec<Arc<T>> {
    listed.unwrap_or_else(|error| {
        not_seen.push(format!("{kind} could not be listed: {error}"));
        Vec::new()
    })
}
