//! What the watches have brought, kept small: one entry for each object, its body as bytes.
//!
//! Decoded objects of the Kubernetes types take ten times the memory of their JSON (20 KB against 2 KB for a
//! Deployment), and a pass needs each of them for a moment only.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::{DynamicObject, TypeMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::child::{Kind, marks};

/// What is watched: the kinds of children, and pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// A kind that the operator makes.
    Child(Kind),
    /// Pods of installations.
    Pod,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Watched,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One object as the API server last showed it, without the managed fields that nothing asks for.
#[derive(Debug)]
pub struct Snapshot {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion; only compared, never computed with.
    pub resource_version: u64,
    /// The uid of the `FlagsmithDeployment` that controls it.
    pub owner: Option<String>,
    /// The name of the installation that its label gives.
    pub instance: Option<String>,
    /// The label of the database that a migration Job works on.
    pub database: Option<String>,
    body: Box<[u8]>,
    /// The hash of the desired object that this state was found or made to agree with: while neither changes there
    /// is nothing to compare, whatever an admission plugin made of the object.
    settled: Mutex<Option<String>>,
}

/// All objects of the watched kinds.
#[derive(Debug, Default)]
pub struct Index {
    entries: RwLock<BTreeMap<Key, Arc<Snapshot>>>,
    counts: RwLock<HashMap<Watched, usize>>,
}

impl Snapshot {
    /// Takes what is needed of an object. `None` for an object without uid or name, which no server sends.
    fn of(kind: Watched, mut object: DynamicObject) -> Option<(Key, Self)> {
        prune_managed_fields(kind, &mut object.metadata.managed_fields);
        let metadata = &object.metadata;
        let label = |name: &str| {
            metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(name))
                .cloned()
        };
        let key = Key {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone()?,
        };
        let snapshot = Self {
            uid: metadata.uid.clone()?,
            resource_version: metadata
                .resource_version
                .as_ref()
                .and_then(|version| version.parse().ok())
                .unwrap_or(0),
            owner: metadata
                .owner_references
                .iter()
                .flatten()
                .find(|owner| {
                    owner.controller == Some(true) && owner.api_version.starts_with(crate::api::GROUP)
                })
                .map(|owner| owner.uid.clone()),
            instance: label(marks::INSTANCE),
            database: label(marks::DATABASE),
            body: Box::from([]),
            settled: Mutex::default(),
        };
        match kind {
            Watched::Pod => prune_pod(&mut object.data),
            // The items of a list do not carry what the list as a whole says.
            Watched::Child(kind) => {
                let resource = kind.api_resource();
                object.types = Some(TypeMeta {
                    api_version: resource.api_version,
                    kind: resource.kind,
                });
            }
        }
        let body = serde_json::to_vec(&object).ok()?.into_boxed_slice();
        Some((key, Self { body, ..snapshot }))
    }

    /// The object as a Kubernetes type. `None` when it does not have that shape.
    #[must_use]
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body)
            .inspect_err(
                |error| tracing::warn!(%error, "a watched object does not have the shape of its kind"),
            )
            .ok()
    }

    /// Whether this state is known to agree with the desired object of this hash.
    #[must_use]
    pub fn is_settled(&self, hash: &str) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.as_deref() == Some(hash)
    }

    /// From now on this state is known to agree with the desired object of this hash.
    pub fn settle(&self, hash: String) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }

    /// Whether the `FlagsmithDeployment` with this uid controls it.
    #[must_use]
    pub fn owned_by(&self, uid: &str) -> bool {
        self.owner.as_deref() == Some(uid)
    }
}

impl Index {
    /// Records an object unless the same or something newer is known. Used by the watches, and by writers for what the
    /// server answered, so that a pass never works on a state that is older than the operator's own last write.
    pub fn record(&self, kind: Watched, object: DynamicObject) -> Option<(Key, Arc<Snapshot>)> {
        let (key, snapshot) = Snapshot::of(kind, object)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&key).is_some_and(|known| {
            known.uid == snapshot.uid && known.resource_version >= snapshot.resource_version
        }) {
            return None;
        }
        let snapshot = Arc::new(snapshot);
        if entries.insert(key.clone(), Arc::clone(&snapshot)).is_none() {
            self.count(kind, 1);
        }
        Some((key, snapshot))
    }

    /// Forgets an object that was deleted; returns what was known of it. A younger object of the same name stays.
    pub fn forget(&self, kind: Watched, object: &DynamicObject) -> Option<(Key, Arc<Snapshot>)> {
        let key = Key {
            kind,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone()?,
        };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries
            .get(&key)
            .is_some_and(|known| Some(&known.uid) != object.metadata.uid.as_ref())
        {
            return None;
        }
        let snapshot = entries.remove(&key)?;
        self.count(kind, -1);
        Some((key, snapshot))
    }

    /// Forgets all objects of a kind in a scope (`None`: every namespace) that a complete list did not name.
    pub fn retain(
        &self,
        kind: Watched,
        scope: Option<&str>,
        listed: &BTreeSet<(String, String)>,
    ) -> Vec<(Key, Arc<Snapshot>)> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Key> = entries
            .keys()
            .filter(|key| {
                key.kind == kind
                    && scope.is_none_or(|scope| scope == key.namespace)
                    && !listed.contains(&(key.namespace.clone(), key.name.clone()))
            })
            .cloned()
            .collect();
        gone.into_iter()
            .filter_map(|key| {
                let snapshot = entries.remove(&key)?;
                self.count(kind, -1);
                Some((key, snapshot))
            })
            .collect()
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: Watched, namespace: &str, name: &str) -> Option<Arc<Snapshot>> {
        let key = Key {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned()
    }

    /// All objects of a kind in a namespace.
    #[must_use]
    pub fn in_namespace(&self, kind: Watched, namespace: &str) -> Vec<(String, Arc<Snapshot>)> {
        self.named(kind, namespace, "")
    }

    /// The objects of a kind in a namespace whose names begin with `prefix`, as those of an installation begin
    /// with its name: with many installations in one namespace a pass must not go through all of them.
    #[must_use]
    pub fn named(&self, kind: Watched, namespace: &str, prefix: &str) -> Vec<(String, Arc<Snapshot>)> {
        let from = Key {
            kind,
            namespace: namespace.to_owned(),
            name: prefix.to_owned(),
        };
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .range(from..)
            .take_while(|(key, _)| {
                key.kind == kind && key.namespace == namespace && key.name.starts_with(prefix)
            })
            .map(|(key, snapshot)| (key.name.clone(), Arc::clone(snapshot)))
            .collect()
    }

    /// All migration Jobs on a database, in every namespace.
    #[must_use]
    pub fn jobs_on(&self, database: &str) -> Vec<(Key, Arc<Snapshot>)> {
        let kind = Watched::Child(Kind::Job);
        let from = Key {
            kind,
            namespace: String::new(),
            name: String::new(),
        };
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .range(from..)
            .take_while(|(key, _)| key.kind == kind)
            .filter(|(_, snapshot)| snapshot.database.as_deref() == Some(database))
            .map(|(key, snapshot)| (key.clone(), Arc::clone(snapshot)))
            .collect()
    }

    /// How many objects of a kind are known.
    #[must_use]
    pub fn len(&self, kind: Watched) -> usize {
        self.counts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&kind)
            .copied()
            .unwrap_or_default()
    }

    fn count(&self, kind: Watched, change: isize) {
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(kind).or_default();
        *count = count.saturating_add_signed(change);
    }
}

/// Who else wrote a Service, Ingress or `HTTPRoute` is kept, to name whoever changes a timeout there; in a quiet
/// installation that is nobody.
fn prune_managed_fields(kind: Watched, fields: &mut Option<Vec<ManagedFieldsEntry>>) {
    if !matches!(
        kind,
        Watched::Child(Kind::Service | Kind::Ingress | Kind::HttpRoute)
    ) {
        *fields = None;
    }
    if let Some(fields) = fields {
        fields
            .retain(|entry| entry.subresource.is_none() && entry.manager.as_deref() != Some(marks::OPERATOR));
    }
}

/// Of a pod's specification only images and limits matter here; the rest is the template's.
fn prune_pod(data: &mut Value) {
    let Some(spec) = data.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.retain(|key, _| key == "containers" || key == "nodeName");
    for container in spec
        .get_mut("containers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(container) = container.as_object_mut() {
            container.retain(|key, _| matches!(key.as_str(), "name" | "image" | "resources"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(name: &str, uid: &str, version: u64) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": "ns", "uid": uid, "resourceVersion": version.to_string() },
        }))
        .unwrap()
    }

    const KIND: Watched = Watched::Child(Kind::Deployment);

    #[test]
    fn an_older_event_does_not_undo_a_newer_write() {
        let index = Index::default();
        index.record(KIND, deployment("a", "u", 5));
        assert!(index.record(KIND, deployment("a", "u", 4)).is_none());
        assert!(
            index.record(KIND, deployment("a", "u", 5)).is_none(),
            "an echo is news"
        );
        assert_eq!(index.get(KIND, "ns", "a").unwrap().resource_version, 5);
        assert_eq!(index.len(KIND), 1);
    }

    #[test]
    fn an_object_of_a_list_is_like_one_of_a_watch() {
        let index = Index::default();
        let mut listed = deployment("a", "u", 5);
        listed.types = None;
        index.record(KIND, listed);
        let body: Value = index.get(KIND, "ns", "a").unwrap().parse().unwrap();
        assert_eq!(
            (&body["apiVersion"], &body["kind"]),
            (&json!("apps/v1"), &json!("Deployment"))
        );
    }

    #[test]
    fn the_deletion_of_a_predecessor_keeps_its_successor() {
        let index = Index::default();
        index.record(KIND, deployment("a", "new", 7));
        assert!(index.forget(KIND, &deployment("a", "old", 6)).is_none());
        assert!(index.get(KIND, "ns", "a").is_some());
        assert!(index.forget(KIND, &deployment("a", "new", 8)).is_some());
        assert_eq!(index.len(KIND), 0);
    }

    #[test]
    fn a_list_drops_what_it_does_not_name() {
        let index = Index::default();
        index.record(KIND, deployment("a", "1", 1));
        index.record(KIND, deployment("b", "2", 2));
        let listed = BTreeSet::from([("ns".to_owned(), "b".to_owned())]);
        let gone = index.retain(KIND, Some("ns"), &listed);
        assert_eq!(
            gone.iter().map(|(key, _)| key.name.as_str()).collect::<Vec<_>>(),
            ["a"]
        );
        assert!(index.retain(KIND, Some("elsewhere"), &BTreeSet::new()).is_empty());
        assert_eq!(index.len(KIND), 1);
    }
}
