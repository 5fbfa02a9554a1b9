//! What the watches have brought, kept small: one entry for each object, its body as bytes.
//!
//! Decoded objects of the Kubernetes types take ten times the memory of their JSON (20 KB against 2 KB for a
//! Deployment), and a pass needs each of them for a moment only.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use kube::Resource as _;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    object::Object,
    priority::{self, Urgency},
};
use crate::model::child::{Kind, marks};

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
    /// A hash of everything but the status and the annotations.
    pub(super) shape: u64,
    /// A hash of the annotations.
    pub(super) annotations: u64,
    /// A hash of that part of the status that somebody waits for.
    pub(super) milestone: u64,
    body: Box<[u8]>,
    /// The hash of the desired object that this state was found or made to agree with: while neither changes there
    /// is nothing to compare, whatever an admission plugin made of the object.
    settled: Mutex<Option<String>>,
}

/// What came of recording or forgetting an object.
#[derive(Debug)]
pub struct Change {
    /// Which object.
    pub key: Key,
    /// Its newest state, or the last one that was known of it.
    pub snapshot: Arc<Snapshot>,
    /// How soon it is to be looked at, if it is.
    pub urgency: Option<Urgency>,
}

/// All objects of the watched kinds.
#[derive(Debug, Default)]
pub struct Index {
    entries: RwLock<BTreeMap<Key, Arc<Snapshot>>>,
    counts: RwLock<HashMap<Watched, usize>>,
}

impl Snapshot {
    /// Takes what is needed of an object. `None` for an object without uid or name, which no server sends.
    fn of(kind: Watched, mut object: Object) -> Option<(Key, Self)> {
        prune_managed_fields(kind, &mut object);
        match kind {
            Watched::Pod => prune_pod(&mut object),
            // The items of a list do not carry what the list as a whole says.
            Watched::Child(kind) => {
                let resource = kind.api_resource();
                for (field, value) in [("apiVersion", resource.api_version), ("kind", resource.kind)] {
                    object.parts.insert(field.to_owned(), to_raw_value(&value).ok()?);
                }
            }
        }
        let metadata = object.meta();
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
        let mut snapshot = Self {
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
            shape: object.shape,
            annotations: priority::hash(&metadata.annotations),
            milestone: 0,
            body: serde_json::to_vec(&object).ok()?.into_boxed_slice(),
            settled: Mutex::default(),
        };
        snapshot.milestone = priority::milestone(kind, &snapshot);
        Some((key, snapshot))
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

    fn settle_like(&self, before: &Self) {
        let settled = before.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = settled.as_ref() {
            self.settle(hash.clone());
        }
    }

    /// Whether only the status changed since an earlier state.
    fn same_but_status(&self, before: &Self) -> bool {
        (&self.uid, self.shape, self.annotations) == (&before.uid, before.shape, before.annotations)
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
    pub fn record(&self, kind: Watched, object: Object) -> Option<Change> {
        let (key, snapshot) = Snapshot::of(kind, object)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let known = entries.get(&key).map(Arc::as_ref);
        if known.is_some_and(|known| {
            known.uid == snapshot.uid && known.resource_version >= snapshot.resource_version
        }) {
            return None;
        }
        let urgency = priority::urgency(kind, known, &snapshot);
        if let Some(known) = known.filter(|known| snapshot.same_but_status(known)) {
            snapshot.settle_like(known);
        }
        let snapshot = Arc::new(snapshot);
        if entries.insert(key.clone(), Arc::clone(&snapshot)).is_none() {
            self.count(kind, 1);
        }
        Some(Change {
            key,
            snapshot,
            urgency,
        })
    }

    /// Forgets an object that was deleted; returns what was known of it. A younger object of the same name stays.
    pub fn forget(&self, kind: Watched, object: &Object) -> Option<Change> {
        let metadata = object.meta();
        let key = Key {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone()?,
        };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries
            .get(&key)
            .is_some_and(|known| Some(&known.uid) != metadata.uid.as_ref())
        {
            return None;
        }
        let snapshot = entries.remove(&key)?;
        Some(self.removed(key, snapshot))
    }

    /// Forgets all objects of a kind in a scope (`None`: every namespace) that a complete list did not name.
    pub fn retain(
        &self,
        kind: Watched,
        scope: Option<&str>,
        listed: &BTreeSet<(String, String)>,
    ) -> Vec<Change> {
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
                Some(self.removed(key, snapshot))
            })
            .collect()
    }

    fn removed(&self, key: Key, snapshot: Arc<Snapshot>) -> Change {
        self.count(key.kind, -1);
        Change {
            key,
            snapshot,
            urgency: Some(Urgency::Now),
        }
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

/// Fields of a JSON object, still as text.
type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

/// Who else wrote a Service, Ingress or `HTTPRoute` is kept, to name whoever changes a timeout there; in a quiet
/// installation that is nobody.
fn prune_managed_fields(kind: Watched, object: &mut Object) {
    let Some(text) = object.fields.remove("managedFields") else {
        return;
    };
    if !matches!(
        kind,
        Watched::Child(Kind::Service | Kind::Ingress | Kind::HttpRoute)
    ) {
        return;
    }
    let mut entries: Vec<Fields<'_>> = serde_json::from_str(text.get()).unwrap_or_default();
    let ours = to_raw_value(marks::OPERATOR).ok();
    entries.retain(|entry| {
        let manager = entry.get("manager").map(|manager| manager.get());
        !entry.contains_key("subresource") && manager != ours.as_ref().map(|ours| ours.get())
    });
    if !entries.is_empty()
        && let Ok(kept) = to_raw_value(&entries)
    {
        object.fields.insert("managedFields".to_owned(), kept);
    }
}

/// Of a pod's specification only images and limits matter here; the rest is the template's.
fn prune_pod(pod: &mut Object) {
    let pruned = pod.parts.get("spec").and_then(|spec| {
        let mut spec: Fields<'_> = serde_json::from_str(spec.get()).ok()?;
        let mut containers: Vec<Fields<'_>> = serde_json::from_str(spec.get("containers")?.get()).ok()?;
        for container in &mut containers {
            container.retain(|key, _| matches!(*key, "name" | "image" | "resources"));
        }
        let containers = to_raw_value(&containers).ok()?;
        spec.retain(|key, _| *key == "nodeName");
        spec.insert("containers", &containers);
        to_raw_value(&spec).ok()
    });
    if let Some(pruned) = pruned {
        pod.parts.insert("spec".to_owned(), pruned);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(body: &Value) -> Object {
        serde_json::from_str(&body.to_string()).unwrap()
    }

    fn deployment(name: &str, uid: &str, version: u64) -> Object {
        object(&json!({
            "metadata": { "name": name, "namespace": "ns", "uid": uid, "resourceVersion": version.to_string() },
        }))
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
        index.record(KIND, deployment("a", "u", 5));
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
            gone.iter()
                .map(|change| change.key.name.as_str())
                .collect::<Vec<_>>(),
            ["a"]
        );
        assert!(index.retain(KIND, Some("elsewhere"), &BTreeSet::new()).is_empty());
        assert_eq!(index.len(KIND), 1);
    }

    #[test]
    fn what_was_found_right_stays_so_while_only_the_status_changes() {
        let index = Index::default();
        let state = |version: u64, labels: Value, status: Value| {
            let body = json!({
                "metadata": { "name": "a", "uid": "u", "resourceVersion": version.to_string(), "labels": labels },
                "status": status,
            });
            index.record(KIND, object(&body)).unwrap().snapshot
        };
        state(1, json!({}), json!({})).settle("hash".to_owned());
        assert!(state(2, json!({}), json!({ "replicas": 1 })).is_settled("hash"));
        assert!(!state(3, json!({ "a": "b" }), json!({})).is_settled("hash"));
    }

    #[test]
    fn of_a_pod_only_images_and_limits_are_kept() {
        let index = Index::default();
        let pod = object(&json!({
            "metadata": { "name": "a", "uid": "u" },
            "spec": { "nodeName": "n", "volumes": [], "containers": [{ "name": "c", "image": "i", "env": [] }] },
        }));
        let kept: Value = index.record(Watched::Pod, pod).unwrap().snapshot.parse().unwrap();
        let expected = json!({ "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] });
        assert_eq!(kept["spec"], expected);
    }
}
