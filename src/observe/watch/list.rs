//! One look without watches: lists what a namespace has, for a command that ends at once.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use kube::{Api, Client, api::ListParams};

use super::super::index::{Index, Object, Watched};
use crate::model::child::Kind;

/// Lists at once: enough that a slow API server costs one round trip and not ten.
const AT_ONCE: usize = 6;

/// Objects of one kind that are looked at: more than a namespace with a Flagsmith in it has.
const LIMIT: u32 = 1000;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The optional kinds that the cluster has.
    pub served: BTreeSet<Kind>,
    /// Optional kinds that the user may not list, in a sentence each: it is not known whether the cluster has them.
    pub refused: BTreeMap<Kind, String>,
    /// What else could not be seen, in a sentence each.
    pub not_seen: Vec<String>,
}

/// Fills an index with the objects of one namespace.
pub(crate) async fn list(client: &Client, namespace: &str, index: &Index) -> Listed {
    let lists: Vec<(Watched, Result<(), kube::Error>)> = stream::iter(index.selector().kinds())
        .map(async |kind| (kind, list_kind(client, namespace, index, kind).await))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut listed = Listed::default();
    for (kind, result) in lists {
        let optional = kind.optional();
        match result {
            Ok(()) => listed.served.extend(optional),
            // A cluster without the Gateway API has no HTTPRoutes.
            Err(kube::Error::Api(status)) if optional.is_some() && status.code == 404 => {}
            Err(error) => {
                let line =
                    format!("{} of namespace {namespace} could not be listed: {error}", kind.in_words());
                match (optional, &error) {
                    (Some(kind), kube::Error::Api(status)) if status.code == 403 => {
                        listed.refused.insert(kind, line);
                    }
                    _ => listed.not_seen.push(line),
                }
            }
        }
    }
    listed
}

async fn list_kind(
    client: &Client,
    namespace: &str,
    index: &Index,
    kind: Watched,
) -> Result<(), kube::Error> {
    let api: Api<Object> = Api::namespaced_with(client.clone(), namespace, &kind.api_resource());
    let params = ListParams::default().limit(LIMIT);
    let params = match index.selector().labels(kind) {
        Some(labels) => params.labels(&labels),
        None => params,
    };
    for object in api.list(&params).await?.items {
        index.record(kind, &object);
    }
    Ok(())
}
