//! The watches of what the operator made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kube::{Client, runtime::reflector::ObjectRef};
use tokio::sync::mpsc::Sender;

use super::{
    super::{
        autoscaler,
        index::{Change, Index, Key, Snapshot, Watched},
        scope::Scope,
        trigger::Trigger,
    },
    follow::{Follower, events},
    watches::Watches,
};
use crate::{api::FlagsmithDeployment, model::child::Kind, runtime::metrics::Metrics};

/// How often the cluster is asked whether it has an optional kind by now; one request for the whole operator.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// How soon it is asked again when it did not answer the first time: nothing begins before.
const DISCOVERY_RETRY: Duration = Duration::from_secs(2);

/// Watches everything until dropped. Each change that an installation is to be looked at for sends a trigger.
pub(crate) async fn run(
    client: Client,
    scope: Scope,
    watches: Arc<Watches>,
    metrics: Metrics,
    triggers: Sender<Trigger>,
) {
    let kinds = watches.index.selector().kinds();
    let all: Vec<_> = kinds
        .into_iter()
        .filter(|kind| kind.optional().is_none())
        .flat_map(|kind| scope.each().into_iter().map(move |namespace| (kind, namespace)))
        .collect();
    // And one for the question whether there is each optional kind.
    watches.expect(all.len() + Kind::OPTIONAL.len());
    let listed = || watches.arrived();
    let mut tasks: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    for (kind, namespace) in all {
        tasks.push(Box::pin(watch(&client, kind, namespace, &watches, &metrics, &triggers, &listed)));
    }
    for kind in Kind::OPTIONAL {
        tasks.push(Box::pin(watch_when_served(&client, kind, &scope, &watches, &metrics, &triggers)));
    }
    while tasks.next().await.is_some() {}
}

/// Waits until the cluster has an optional kind, which may be long after the operator's start, and watches it.
async fn watch_when_served(
    client: &Client,
    kind: Kind,
    scope: &Scope,
    watches: &Watches,
    metrics: &Metrics,
    triggers: &Sender<Trigger>,
) {
    let mut answered = false;
    loop {
        let wait = match serves(client, kind).await {
            Some(true) => break,
            Some(false) => {
                if !std::mem::replace(&mut answered, true) {
                    watches.arrived();
                }
                DISCOVERY_INTERVAL
            }
            None if answered => DISCOVERY_INTERVAL,
            None => DISCOVERY_RETRY,
        };
        tokio::time::sleep(wait).await;
    }
    let namespaces = scope.each();
    let lists = Arc::new(AtomicUsize::new(namespaces.len()));
    let listed = || {
        if lists.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Objects that exist are known by now, so none is mistaken for missing.
            watches.optional_listed(kind);
            if !answered {
                watches.arrived();
            }
        }
    };
    let mut tasks: FuturesUnordered<_> = namespaces
        .into_iter()
        .map(|namespace| watch(client, Watched::Child(kind), namespace, watches, metrics, triggers, &listed))
        .collect();
    while tasks.next().await.is_some() {}
}

/// Whether the cluster has a kind; `None` when it did not say.
async fn serves(client: &Client, kind: Kind) -> Option<bool> {
    let resource = kind.api_resource();
    match client.list_api_group_resources(&resource.api_version).await {
        Ok(list) => Some(list.resources.iter().any(|known| known.kind == resource.kind)),
        Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
        Err(error) => {
            let kind = kind.plural();
            tracing::debug!(kind, %error, "asking whether the cluster has a kind failed; it is asked again later");
            None
        }
    }
}

async fn watch(
    client: &Client,
    kind: Watched,
    namespace: Option<&str>,
    watches: &Watches,
    metrics: &Metrics,
    triggers: &Sender<Trigger>,
    first_list: &(dyn Fn() + Sync),
) {
    let index = &watches.index;
    let mut events = std::pin::pin!(events(client, kind, namespace, index));
    let mut follower = Follower::new(index, kind, namespace);
    while let Some(event) = events.next().await {
        let followed = match event {
            Ok(event) => follower.take(event),
            Err(error) => {
                metrics.watch_restarted(kind.plural());
                tracing::warn!(kind = kind.plural(), %error, "a watch was interrupted; it starts again after a pause");
                continue;
            }
        };
        metrics.cache_objects(kind.plural(), index.len(kind));
        if followed.first_list {
            first_list();
        }
        for Change { key, snapshot, urgency } in followed.changes {
            let Some(urgency) = urgency else { continue };
            for installation in concerned(index, &key, &snapshot) {
                tracing::debug!(kind = kind.plural(), object = key.name, %installation, ?urgency, "a change");
                let trigger = Trigger { installation, urgency };
                // A full channel means that passes are already due; waiting here slows the watch, not the API.
                if triggers.send(trigger).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Which installations an event concerns: the one that the labels name, or the one whose Deployment a foreign
/// autoscaler targets.
fn concerned(index: &Index, key: &Key, snapshot: &Snapshot) -> Vec<ObjectRef<FlagsmithDeployment>> {
    if let Some(instance) = &snapshot.instance
        && (snapshot.owner.is_some() || key.kind == Watched::Pod)
    {
        return vec![ObjectRef::new(instance).within(&key.namespace)];
    }
    if key.kind != Watched::Child(Kind::HorizontalPodAutoscaler) {
        return Vec::new();
    }
    autoscaler::target(snapshot)
        .and_then(|target| index.get(Watched::Child(Kind::Deployment), &key.namespace, &target))
        .and_then(|deployment| deployment.instance.clone())
        .map(|instance| ObjectRef::new(&instance).within(&key.namespace))
        .into_iter()
        .collect()
}
