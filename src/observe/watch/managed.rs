//! The watches that fill the index and say which installation an event concerns.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kube::{
    Api, Client,
    core::ApiResource,
    runtime::{WatchStreamExt as _, reflector::ObjectRef, watcher},
};
use tokio::sync::mpsc::Sender;

use super::{
    index::{Change, Index, Key, Snapshot, Watched},
    object::Object,
    priority::Urgency,
};
use crate::{
    api::FlagsmithDeployment,
    model::child::{Kind, marks},
    runtime::metrics::Metrics,
};

/// Objects in one page of a list: small enough that a page of Deployments stays below 4 MB.
const PAGE_SIZE: u32 = 250;

/// How often the cluster is asked whether it has the Gateway API by now; one request for the whole operator.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);

/// How soon it is asked again when it did not answer the first time: nothing begins before.
const DISCOVERY_RETRY: Duration = Duration::from_secs(2);

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole cluster.
    Cluster,
    /// These namespaces.
    Namespaces(Vec<String>),
}

impl Scope {
    /// One entry for each watch that the scope needs: `None` is the whole cluster.
    #[must_use]
    pub fn each(&self) -> Vec<Option<&str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        }
    }
}

/// A change that an installation is to be looked at for.
#[derive(Debug)]
pub struct Trigger {
    /// Which installation.
    pub installation: ObjectRef<FlagsmithDeployment>,
    /// How soon.
    pub urgency: Urgency,
}

/// What the watches share with the rest of the operator.
#[derive(Debug)]
pub struct Watches {
    /// The objects.
    pub index: Index,
    /// Lists that have not arrived yet.
    pending: AtomicUsize,
    /// Whether the cluster has `HTTPRoutes`.
    http_route: tokio::sync::watch::Sender<bool>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            index: Index::default(),
            // Not synced before the watches have even begun.
            pending: AtomicUsize::new(usize::MAX),
            http_route: tokio::sync::watch::Sender::default(),
        }
    }
}

impl Watches {
    /// Whether every first list has arrived. `HTTPRoutes` count only where the cluster has them.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether the cluster has `HTTPRoutes`.
    #[must_use]
    pub fn http_route(&self) -> bool {
        *self.http_route.borrow()
    }

    /// The cluster has `HTTPRoutes`, and those that exist are known.
    pub(super) fn http_routes_listed(&self) {
        self.http_route.send_replace(true);
    }

    /// One item when `HTTPRoutes` appear in the cluster.
    pub fn http_route_appears(&self) -> impl Stream<Item = ()> + Send + 'static {
        let mut receiver = self.http_route.subscribe();
        let appears = async move {
            let appeared = !*receiver.borrow_and_update() && receiver.wait_for(|has| *has).await.is_ok();
            appeared.then_some(())
        };
        futures::stream::once(appears).filter_map(std::future::ready)
    }
}

/// Watches everything until dropped. Each change that an installation is to be looked at for sends a trigger.
pub async fn run(
    client: Client,
    scope: Scope,
    watches: Arc<Watches>,
    metrics: Metrics,
    triggers: Sender<Trigger>,
) {
    let kinds = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::HttpRoute)
        .map(Watched::Child)
        .chain([Watched::Pod]);
    let all: Vec<_> = kinds
        .flat_map(|kind| scope.each().into_iter().map(move |namespace| (kind, namespace)))
        .collect();
    // And one for the question whether there are HTTPRoutes.
    watches.pending.store(all.len() + 1, Ordering::Release);
    let listed = || {
        watches.pending.fetch_sub(1, Ordering::AcqRel);
    };
    let mut tasks: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    for (kind, namespace) in all {
        tasks.push(Box::pin(watch(
            &client, kind, namespace, &watches, &metrics, &triggers, &listed,
        )));
    }
    tasks.push(Box::pin(watch_http_routes(
        &client, &scope, &watches, &metrics, &triggers,
    )));
    while tasks.next().await.is_some() {}
}

/// Waits until the cluster has `HTTPRoutes`, which may be long after the operator's start, and watches them.
async fn watch_http_routes(
    client: &Client,
    scope: &Scope,
    watches: &Watches,
    metrics: &Metrics,
    triggers: &Sender<Trigger>,
) {
    let mut answered = false;
    loop {
        let wait = match has_http_routes(client).await {
            Some(true) => break,
            Some(false) => {
                if !std::mem::replace(&mut answered, true) {
                    watches.pending.fetch_sub(1, Ordering::AcqRel);
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
    let kind = Watched::Child(Kind::HttpRoute);
    let listed = || {
        if lists.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Routes that exist are known by now, so none is mistaken for missing.
            watches.http_routes_listed();
            if !answered {
                watches.pending.fetch_sub(1, Ordering::AcqRel);
            }
        }
    };
    let mut tasks: FuturesUnordered<_> = namespaces
        .into_iter()
        .map(|namespace| watch(client, kind, namespace, watches, metrics, triggers, &listed))
        .collect();
    while tasks.next().await.is_some() {}
}

/// Whether the cluster has `HTTPRoutes`; `None` when it did not say.
async fn has_http_routes(client: &Client) -> Option<bool> {
    let resource = Kind::HttpRoute.api_resource();
    match client.list_api_group_resources(&resource.api_version).await {
        Ok(list) => Some(list.resources.iter().any(|known| known.kind == resource.kind)),
        Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
        Err(error) => {
            tracing::debug!(%error, "asking for the Gateway API failed; it is asked again later");
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
    let resource = resource(kind);
    let api: Api<Object> = namespace.map_or_else(
        || Api::all_with(client.clone(), &resource),
        |namespace| Api::namespaced_with(client.clone(), namespace, &resource),
    );
    let mut events = std::pin::pin!(events(api, kind));
    let mut listed = BTreeSet::new();
    let mut synced = false;
    while let Some(event) = events.next().await {
        let index = &watches.index;
        let mut changed: Vec<Change> = Vec::new();
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert((
                    object.metadata.namespace.clone().unwrap_or_default(),
                    object.metadata.name.clone().unwrap_or_default(),
                ));
                // While the first lists arrive nobody acts on them, and afterwards everything is looked at once.
                changed.extend(index.record(kind, object).filter(|_| synced));
            }
            Ok(watcher::Event::InitDone) => {
                changed = index.retain(kind, namespace, &listed);
                listed.clear();
                if !std::mem::replace(&mut synced, true) {
                    first_list();
                }
            }
            Ok(watcher::Event::Apply(object)) => changed.extend(index.record(kind, object)),
            Ok(watcher::Event::Delete(object)) => changed.extend(index.forget(kind, &object)),
            Err(error) => {
                metrics.watch_restarted(name(kind));
                tracing::warn!(kind = name(kind), %error, "a watch was interrupted; it starts again after a pause");
            }
        }
        metrics.cache_objects(name(kind), index.len(kind));
        for Change {
            key,
            snapshot,
            urgency,
        } in changed
        {
            let Some(urgency) = urgency else { continue };
            for installation in concerned(&watches.index, &key, &snapshot) {
                // A full channel means that passes are already due; waiting here slows the watch, not the API.
                if triggers
                    .send(Trigger {
                        installation,
                        urgency,
                    })
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    }
}

fn events(
    api: Api<Object>,
    kind: Watched,
) -> impl Stream<Item = Result<watcher::Event<Object>, watcher::Error>> {
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    let config = match kind {
        // An autoscaler of the user's own has no label of ours.
        Watched::Child(Kind::HorizontalPodAutoscaler) => config,
        _ => config.labels(&format!("{}={}", marks::MANAGED_BY, marks::OPERATOR)),
    };
    watcher(api, config).default_backoff()
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
    super::autoscaler::target(snapshot)
        .and_then(|target| index.get(Watched::Child(Kind::Deployment), &key.namespace, &target))
        .and_then(|deployment| deployment.instance.clone())
        .map(|instance| ObjectRef::new(&instance).within(&key.namespace))
        .into_iter()
        .collect()
}

/// The resource of a watched kind.
pub(super) fn resource(kind: Watched) -> ApiResource {
    match kind {
        Watched::Child(kind) => kind.api_resource(),
        Watched::Pod => ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()),
    }
}

/// The plural name of a watched kind, as metrics and logs show it.
#[must_use]
pub const fn name(kind: Watched) -> &'static str {
    match kind {
        Watched::Child(kind) => kind.plural(),
        Watched::Pod => "pods",
    }
}
