//! One look without watches: lists what an installation consists of, for a command that ends at once.

use futures::{StreamExt as _, stream};
use kube::{Api, Client, api::ListParams, core::ApiResource};

use super::{Object, Watched, Watches, watch};
use crate::model::child::{Kind, marks};

/// Lists at once: enough that a slow API server costs one round trip and not ten.
const AT_ONCE: usize = 6;

/// Objects of one kind in a namespace that are looked at.
const LIMIT: u32 = 500;

/// Fills `watches` with the objects of one namespace. Returns what could not be seen, in a sentence each.
pub async fn list(client: &Client, namespace: &str, watches: &Watches) -> Vec<String> {
    let kinds = Kind::ALL.into_iter().map(Watched::Child).chain([Watched::Pod]);
    stream::iter(kinds)
        .map(|kind| list_kind(client, namespace, watches, kind))
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

async fn list_kind(client: &Client, namespace: &str, watches: &Watches, kind: Watched) -> Option<String> {
    let resource: ApiResource = watch::resource(kind);
    let api: Api<Object> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = ListParams::default().limit(LIMIT);
    let params = match kind {
        // An autoscaler of the user's own has no label of ours.
        Watched::Child(Kind::HorizontalPodAutoscaler) => params,
        _ => params.labels(&format!("{}={}", marks::MANAGED_BY, marks::OPERATOR)),
    };
    let route = kind == Watched::Child(Kind::HttpRoute);
    match api.list(&params).await {
        Ok(list) => {
            for object in list.items {
                watches.index.record(kind, object);
            }
            if route {
                watches.http_routes_listed();
            }
            None
        }
        // A cluster without the Gateway API has none.
        Err(kube::Error::Api(status)) if route && status.code == 404 => None,
        Err(error) => Some(format!(
            "{} of namespace {namespace} could not be listed: {error}",
            watch::name(kind)
        )),
    }
}
