//! The watches of the namespaces with installations that the operator did not make: started with the first
//! `FlagsmithDeployment` that observes one there, ended with the last. No label is common to all such installations.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use kube::{Client, runtime::reflector::ObjectRef};
use tokio::{
    sync::{mpsc::Sender, watch},
    task::JoinSet,
};

use super::{
    super::{
        discover::{self, Objects},
        index::{Index, Selector, Watched},
        trigger::{Trigger, Urgency},
    },
    follow::{Follower, events},
};
use crate::{
    api::FlagsmithDeployment,
    model::child::Kind,
    validate::{Identity, ObservedInstallation},
};

/// How long the first lists may take before what has arrived is reported on: a kind that the operator may not list
/// never arrives.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// What the objects of one namespace may take in memory: 15,000 pods or 40,000 Jobs, and an eighth of the chart's memory
/// limit.
const NAMESPACE_BYTES: usize = 32 << 20;

const HTTP_ROUTES: Watched = Watched::Child(Kind::HttpRoute);

/// The watches of all these namespaces.
pub(crate) struct Namespaces {
    client: Client,
    triggers: Sender<Trigger>,
    watched: Mutex<HashMap<String, Namespace>>,
}

/// The watches of one namespace; they end when it is dropped, and what they have brought is freed.
struct Namespace {
    shared: Arc<Shared>,
    /// The kinds whose first list has arrived.
    listed: watch::Sender<BTreeSet<Watched>>,
    tasks: JoinSet<()>,
    http_routes: bool,
}

/// What the watches of one namespace share.
struct Shared {
    name: String,
    index: Index,
    /// The installations in it, by uid.
    installations: Mutex<BTreeMap<String, ObjectRef<FlagsmithDeployment>>>,
}

impl Shared {
    fn installations(&self) -> MutexGuard<'_, BTreeMap<String, ObjectRef<FlagsmithDeployment>>> {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespaces {
    /// No watch yet; each change triggers a pass over every installation of its namespace.
    pub(crate) fn new(client: Client, triggers: Sender<Trigger>) -> Self {
        Self { client, triggers, watched: Mutex::default() }
    }

    /// The objects of an installation's namespace, watched from now on. The first call waits for the first lists.
    pub(crate) async fn objects(&self, subject: &ObservedInstallation, http_routes: bool) -> Objects {
        let namespace = &subject.identity.namespace;
        let (shared, mut listed) = self.watch(&subject.identity, http_routes);
        let kinds: Vec<Watched> =
            Selector::Any.kinds().into_iter().filter(|kind| *kind != HTTP_ROUTES).collect();
        let complete = listed.wait_for(|listed| kinds.iter().all(|kind| listed.contains(kind)));
        // What does not arrive in time is missing below.
        let _ = tokio::time::timeout(FIRST_LISTS, complete).await;
        let listed = listed.borrow().clone();
        let mut objects = discover::objects(&shared.index, namespace, &subject.selection, http_routes);
        for kind in kinds.iter().filter(|kind| !listed.contains(kind)) {
            objects.not_seen.push(format!(
                "{} of namespace {namespace} cannot be listed; the operator's log says why",
                kind.in_words()
            ));
        }
        if shared.index.overflowed() {
            objects.not_seen.push(format!(
                "namespace {namespace} has more objects than the {} MiB that the operator keeps of one; those that came \
                 last are not seen",
                NAMESPACE_BYTES >> 20
            ));
        }
        objects
    }

    /// Forgets an installation that is not looked at any more, and its namespace with the last one in it.
    pub(crate) fn forget(&self, namespace: &str, uid: &str) {
        let mut watched = self.lock();
        let Some(known) = watched.get(namespace) else {
            return;
        };
        let mut installations = known.shared.installations();
        installations.remove(uid);
        let empty = installations.is_empty();
        drop(installations);
        if empty {
            watched.remove(namespace);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(
        &self,
        identity: &Identity,
        http_routes: bool,
    ) -> (Arc<Shared>, watch::Receiver<BTreeSet<Watched>>) {
        let mut watched = self.lock();
        let namespace = watched.entry(identity.namespace.clone()).or_insert_with(|| {
            let mut namespace = Namespace::new(identity.namespace.clone());
            for kind in Selector::Any.kinds() {
                if kind != HTTP_ROUTES {
                    namespace.watch(&self.client, &self.triggers, kind);
                }
            }
            namespace
        });
        namespace
            .shared
            .installations()
            .entry(identity.uid.clone())
            .or_insert_with(|| ObjectRef::new(&identity.name).within(&identity.namespace));
        // A cluster may get the Gateway API later.
        if http_routes && !std::mem::replace(&mut namespace.http_routes, true) {
            namespace.watch(&self.client, &self.triggers, HTTP_ROUTES);
        }
        (Arc::clone(&namespace.shared), namespace.listed.subscribe())
    }
}

impl Namespace {
    fn new(name: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                name,
                index: Index::new(Selector::Any, NAMESPACE_BYTES),
                installations: Mutex::default(),
            }),
            listed: watch::Sender::default(),
            tasks: JoinSet::new(),
            http_routes: false,
        }
    }

    fn watch(&mut self, client: &Client, triggers: &Sender<Trigger>, kind: Watched) {
        let (shared, listed) = (Arc::clone(&self.shared), self.listed.clone());
        self.tasks.spawn(follow(client.clone(), kind, shared, listed, triggers.clone()));
    }
}

/// Follows one kind until it is aborted.
async fn follow(
    client: Client,
    kind: Watched,
    shared: Arc<Shared>,
    listed: watch::Sender<BTreeSet<Watched>>,
    triggers: Sender<Trigger>,
) {
    let (index, namespace) = (&shared.index, shared.name.as_str());
    let mut events = std::pin::pin!(events(&client, kind, Some(namespace), index));
    let mut follower = Follower::new(index, kind, Some(namespace));
    while let Some(event) = events.next().await {
        let followed = match event {
            Ok(event) => follower.take(event),
            Err(error) => {
                let kind = kind.plural();
                tracing::warn!(kind, namespace, %error, "a watch was interrupted; it starts again after a pause");
                continue;
            }
        };
        if followed.first_list {
            listed.send_modify(|listed| {
                listed.insert(kind);
            });
        }
        if followed.changes.iter().any(|change| change.urgency.is_some()) {
            let installations: Vec<_> = shared.installations().values().cloned().collect();
            for installation in installations {
                let urgency = Urgency::Soon;
                // Closed means that the operator ends.
                triggers.send(Trigger { installation, urgency }).await.ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use http::{Request, Response};
    use kube::client::Body;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{fixtures::subject, validate::Selection};

    /// Watches through a server that never answers.
    fn namespaces() -> Namespaces {
        let silent = tower::service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
        Namespaces::new(Client::new(silent, "default"), mpsc::channel(1).0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_cannot_be_listed_is_reported_and_the_rest_is_not_waited_for() {
        let namespaces = namespaces();
        let subject = subject(Selection::Release("acme".to_owned()));
        let objects = namespaces.objects(&subject, false).await;
        assert_eq!(objects.not_seen.len(), 6);
        assert_eq!(
            objects.not_seen.first().map(String::as_str),
            Some("Deployments of namespace prod cannot be listed; the operator's log says why")
        );
        assert!(objects.routes.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_ends_with_its_last_installation_and_is_freed() {
        let namespaces = namespaces();
        let mut subjects = [0, 1].map(|_| subject(Selection::Release("acme".to_owned())));
        subjects[1].identity.uid = "other".to_owned();
        for subject in &subjects {
            namespaces.objects(subject, true).await;
        }
        let shared = Arc::downgrade(&namespaces.lock().get("prod").unwrap().shared);
        let forget = async |subject: &ObservedInstallation| {
            namespaces.forget("prod", &subject.identity.uid);
            // The watches are tasks, which end where they wait.
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        forget(&subjects[0]).await;
        assert!(shared.upgrade().is_some(), "the other installation still needs it");
        forget(&subjects[1]).await;
        assert!(shared.upgrade().is_none(), "its objects are still in memory");
    }
}
