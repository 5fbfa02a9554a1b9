//! Watches of the namespaces in which somebody else's installations are looked at: started with the first
//! `FlagsmithDeployment` that asks for it, ended with the last. No label is common to all such installations.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{
    Api, Client, Resource,
    core::{DynamicObject, ObjectMeta},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, task::AbortHandle};

use super::{
    super::{priority::Urgency, watch::Trigger, workload::sets_replicas},
    Objects,
};
use crate::{api::FlagsmithDeployment, model::child::Kind, validate::Identity};

/// Objects in one page of a list.
const PAGE_SIZE: u32 = 250;

/// How long the first lists may take before what has arrived is reported on: a kind that the operator may not list
/// never arrives.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// The watches of all namespaces that are looked at.
pub struct Namespaces {
    client: Client,
    triggers: Sender<Trigger>,
    watched: Mutex<HashMap<String, Watched>>,
}

/// The watches of one namespace.
struct Watched {
    stores: Stores,
    /// The installations in it, by uid.
    subjects: Arc<Mutex<BTreeMap<String, ObjectRef<FlagsmithDeployment>>>>,
    tasks: Vec<AbortHandle>,
}

#[derive(Clone)]
struct Stores {
    deployments: Store<k8s_openapi::api::apps::v1::Deployment>,
    jobs: Store<k8s_openapi::api::batch::v1::Job>,
    pods: Store<k8s_openapi::api::core::v1::Pod>,
    services: Store<k8s_openapi::api::core::v1::Service>,
    ingresses: Store<k8s_openapi::api::networking::v1::Ingress>,
    autoscalers: Store<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>,
    routes: Option<Store<DynamicObject>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Namespaces {
    /// No watch yet; each change sends a reference to every installation of its namespace.
    #[must_use]
    pub fn new(client: Client, triggers: Sender<Trigger>) -> Self {
        Self {
            client,
            triggers,
            watched: Mutex::default(),
        }
    }

    /// The objects of an installation's namespace, watched from now on. The first call waits for the first lists.
    pub async fn objects(&self, identity: &Identity, with_routes: bool) -> Objects {
        let stores = self.stores(identity, with_routes);
        let mut objects = Objects::default();
        let ready = [
            ("Deployments", stores.deployments.wait_until_ready().boxed()),
            ("Jobs", stores.jobs.wait_until_ready().boxed()),
            ("pods", stores.pods.wait_until_ready().boxed()),
            ("Services", stores.services.wait_until_ready().boxed()),
            ("Ingresses", stores.ingresses.wait_until_ready().boxed()),
            (
                "HorizontalPodAutoscalers",
                stores.autoscalers.wait_until_ready().boxed(),
            ),
        ];
        let lists = ready.into_iter().map(|(kind, ready)| async move {
            (kind, tokio::time::timeout(FIRST_LISTS, ready).await.is_ok())
        });
        for (kind, arrived) in futures::future::join_all(lists).await {
            if !arrived {
                objects.not_seen.push(format!(
                    "{kind} of namespace {} cannot be listed; the operator's log says why",
                    identity.namespace
                ));
            }
        }
        Objects {
            deployments: stores.deployments.state(),
            jobs: stores.jobs.state(),
            pods: stores.pods.state(),
            services: stores.services.state(),
            ingresses: stores.ingresses.state(),
            autoscalers: stores.autoscalers.state(),
            routes: stores.routes.map(|routes| routes.state()),
            ..objects
        }
    }

    /// Forgets an installation that is not looked at any more, and its namespace with the last one in it.
    pub fn forget(&self, namespace: &str, uid: &str) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = watched.get(namespace) else {
            return;
        };
        let mut subjects = known.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.remove(uid);
        let empty = subjects.is_empty();
        drop(subjects);
        if empty {
            watched.remove(namespace);
        }
    }

    fn stores(&self, identity: &Identity, with_routes: bool) -> Stores {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = watched
            .get(&identity.namespace)
            .is_some_and(|known| with_routes && known.stores.routes.is_none());
        let subjects = watched
            .get(&identity.namespace)
            .map(|known| Arc::clone(&known.subjects))
            .unwrap_or_default();
        subjects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(identity.uid.clone())
            .or_insert_with(|| ObjectRef::new(&identity.name).within(&identity.namespace));
        if stale {
            watched.remove(&identity.namespace);
        }
        watched
            .entry(identity.namespace.clone())
            .or_insert_with(|| self.watch(&identity.namespace, with_routes, subjects))
            .stores
            .clone()
    }

    fn watch(
        &self,
        namespace: &str,
        with_routes: bool,
        subjects: Arc<Mutex<BTreeMap<String, ObjectRef<FlagsmithDeployment>>>>,
    ) -> Watched {
        let mut started = Started {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
            notify: Notify {
                triggers: self.triggers.clone(),
                subjects: Arc::clone(&subjects),
            },
            tasks: Vec::new(),
        };
        let stores = Stores {
            deployments: started.typed(),
            jobs: started.typed(),
            pods: started.typed(),
            services: started.typed(),
            ingresses: started.typed(),
            autoscalers: started.typed(),
            routes: with_routes.then(|| {
                let resource = Kind::HttpRoute.api_resource();
                let api = Api::namespaced_with(started.client.clone(), namespace, &resource);
                started.kind(api, resource)
            }),
        };
        Watched {
            stores,
            subjects,
            tasks: started.tasks,
        }
    }
}

/// Of the managed fields only those are kept that say who sets the number of pods or an annotation.
fn prune(metadata: &mut ObjectMeta) {
    let annotates = |entry: &ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|it| it.0.pointer("/f:metadata/f:annotations").is_some())
    };
    if let Some(managers) = metadata.managed_fields.as_mut() {
        managers.retain(|entry| sets_replicas(entry) || annotates(entry));
    }
}

/// Tells the queue about a change.
#[derive(Clone)]
struct Notify {
    triggers: Sender<Trigger>,
    subjects: Arc<Mutex<BTreeMap<String, ObjectRef<FlagsmithDeployment>>>>,
}

impl Notify {
    async fn changed(&self) {
        let subjects: Vec<_> = {
            let subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            subjects.values().cloned().collect()
        };
        for subject in subjects {
            // Closed means that the operator ends.
            let trigger = Trigger {
                installation: subject,
                urgency: Urgency::Soon,
            };
            self.triggers.send(trigger).await.ok();
        }
    }
}

struct Started {
    client: Client,
    namespace: String,
    notify: Notify,
    tasks: Vec<AbortHandle>,
}

impl Started {
    fn typed<K>(&mut self) -> Store<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        let api = Api::namespaced(self.client.clone(), &self.namespace);
        self.kind(api, ())
    }

    fn kind<K>(&mut self, api: Api<K>, resource: K::DynamicType) -> Store<K>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Eq + std::hash::Hash + Send + Sync,
    {
        let kind = K::kind(&resource).into_owned();
        let writer = reflector::store::Writer::new(resource);
        let store = writer.as_reader();
        let namespace = self.namespace.clone();
        let notify = self.notify.clone();
        let watch: BoxFuture<'static, ()> = async move {
            let events = watcher(api, watcher::Config::default().page_size(PAGE_SIZE))
                .default_backoff()
                .modify(|object| prune(object.meta_mut()))
                .reflect(writer);
            let mut events = std::pin::pin!(events);
            // The first list is waited for; whoever waits needs no trigger.
            let mut listed = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::InitDone) => {
                        if std::mem::replace(&mut listed, true) {
                            notify.changed().await;
                        }
                    }
                    Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) => notify.changed().await,
                    Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
                    Err(error) => {
                        tracing::warn!(kind, namespace, %error, "a watch was interrupted; it starts again after a pause");
                    }
                }
            }
        }
        .boxed();
        self.tasks.push(tokio::spawn(watch).abort_handle());
        store
    }
}
