//! The objects of one set of watches.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::Resource as _;

use super::{
    object::Object,
    priority,
    prune::Selector,
    snapshot::{Key, Snapshot},
    watched::Watched,
};
use crate::{model::child::Kind, observe::Urgency};

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

/// All objects that watches with one selector have brought.
#[derive(Debug)]
pub struct Index {
    selector: Selector,
    /// The most bytes that it takes, about.
    limit: usize,
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    objects: BTreeMap<Key, Arc<Snapshot>>,
    counts: HashMap<Watched, usize>,
    /// What the objects take.
    bytes: usize,
    /// An object did not fit.
    overflowed: bool,
}

impl Default for Index {
    fn default() -> Self {
        Self::new(Selector::Managed, usize::MAX)
    }
}

impl Index {
    /// An empty index. Once its objects take `limit` bytes, no further one is taken in.
    #[must_use]
    pub fn new(selector: Selector, limit: usize) -> Self {
        Self { selector, limit, entries: RwLock::default() }
    }

    /// Which objects belong into it.
    #[must_use]
    pub const fn selector(&self) -> Selector {
        self.selector
    }

    /// Whether an object did not fit.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.read().overflowed
    }

    /// Records an object unless the same or something newer is known. Used by the watches, and by writers for what the
    /// server answered, so that a pass never works on a state that is older than the operator's own last write.
    pub fn record(&self, kind: Watched, object: Object) -> Option<Change> {
        let known = |key: &Key| self.read().objects.get(key).map(Arc::clone);
        let (key, snapshot) = Snapshot::of(kind, object, self.selector, known)?;
        let mut entries = self.write();
        let known = entries.objects.get(&key).map(Arc::clone);
        let known = known.as_deref();
        if known.is_some_and(|known| {
            known.uid == snapshot.uid && known.resource_version >= snapshot.resource_version
        }) {
            return None;
        }
        let urgency = priority::urgency(kind, known, &snapshot);
        if let Some(known) = known.filter(|known| snapshot.same_but_status(known)) {
            snapshot.settle_like(known);
        }
        let others = entries.bytes.saturating_sub(known.map_or(0, Snapshot::size));
        if others.saturating_add(snapshot.size()) > self.limit {
            entries.overflowed = true;
            // An outdated state would be worse than none.
            return entries.remove(&key);
        }
        let snapshot = Arc::new(snapshot);
        entries.insert(key.clone(), Arc::clone(&snapshot));
        Some(Change { key, snapshot, urgency })
    }

    /// Forgets an object that was deleted; returns what was known of it. A younger object of the same name stays.
    pub fn forget(&self, kind: Watched, object: &Object) -> Option<Change> {
        let metadata = object.meta();
        let key = Key {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone()?,
        };
        let mut entries = self.write();
        if entries.objects.get(&key).is_some_and(|known| Some(&known.uid) != metadata.uid.as_ref()) {
            return None;
        }
        entries.remove(&key)
    }

    /// Forgets all objects of a kind in a scope (`None`: every namespace) that a complete list did not name.
    pub fn retain(
        &self,
        kind: Watched,
        scope: Option<&str>,
        listed: &BTreeSet<(String, String)>,
    ) -> Vec<Change> {
        let mut entries = self.write();
        let gone: Vec<Key> = entries
            .objects
            .keys()
            .filter(|key| {
                key.kind == kind
                    && scope.is_none_or(|scope| scope == key.namespace)
                    && !listed.contains(&(key.namespace.clone(), key.name.clone()))
            })
            .cloned()
            .collect();
        gone.into_iter().filter_map(|key| entries.remove(&key)).collect()
    }

    /// One object.
    #[must_use]
    pub fn get(&self, kind: Watched, namespace: &str, name: &str) -> Option<Arc<Snapshot>> {
        let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.read().objects.get(&key).cloned()
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
        let from = Key { kind, namespace: namespace.to_owned(), name: prefix.to_owned() };
        self.read()
            .objects
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
        let from = Key { kind, namespace: String::new(), name: String::new() };
        self.read()
            .objects
            .range(from..)
            .take_while(|(key, _)| key.kind == kind)
            .filter(|(_, snapshot)| snapshot.database.as_deref() == Some(database))
            .map(|(key, snapshot)| (key.clone(), Arc::clone(snapshot)))
            .collect()
    }

    /// How many objects of a kind are known.
    #[must_use]
    pub fn len(&self, kind: Watched) -> usize {
        self.read().counts.get(&kind).copied().unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn insert(&mut self, key: Key, snapshot: Arc<Snapshot>) {
        let kind = key.kind;
        self.bytes = self.bytes.saturating_add(snapshot.size());
        match self.objects.insert(key, snapshot) {
            Some(before) => self.bytes = self.bytes.saturating_sub(before.size()),
            None => *self.counts.entry(kind).or_default() += 1,
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Change> {
        let (key, snapshot) = self.objects.remove_entry(key)?;
        self.bytes = self.bytes.saturating_sub(snapshot.size());
        let count = self.counts.entry(key.kind).or_default();
        *count = count.saturating_sub(1);
        Some(Change { key, snapshot, urgency: Some(Urgency::Now) })
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
        assert!(index.record(KIND, deployment("a", "u", 5)).is_none(), "an echo is news");
        assert_eq!(index.get(KIND, "ns", "a").unwrap().resource_version, 5);
        assert_eq!(index.len(KIND), 1);
    }

    #[test]
    fn an_object_of_a_list_is_like_one_of_a_watch() {
        let index = Index::default();
        index.record(KIND, deployment("a", "u", 5));
        let body: Value = index.get(KIND, "ns", "a").unwrap().parse().unwrap();
        assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("apps/v1"), &json!("Deployment")));
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
        assert_eq!(gone.iter().map(|change| change.key.name.as_str()).collect::<Vec<_>>(), ["a"]);
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
    fn what_does_not_fit_is_not_kept() {
        let of = |name: &str, version: u64, annotation: usize| {
            object(&json!({ "metadata": {
                "name": name, "namespace": "ns", "uid": name, "resourceVersion": version.to_string(),
                "annotations": { "operator.flagsmith.com/a": "a".repeat(annotation) },
            } }))
        };
        let index = Index::new(Selector::Any, 4096);
        assert!(index.record(KIND, of("a", 1, 1000)).is_some());
        assert!(index.record(KIND, of("b", 2, 1000)).is_some());
        assert!(!index.overflowed());
        assert!(index.record(KIND, of("c", 3, 1000)).is_none());
        assert!((index.overflowed(), index.len(KIND)) == (true, 2));
        // One that has grown out of it is not shown as it was before.
        assert_eq!(index.record(KIND, of("b", 4, 9000)).unwrap().urgency, Some(Urgency::Now));
        assert!(index.get(KIND, "ns", "b").is_none());
        // What is gone makes room.
        assert!(index.record(KIND, of("c", 5, 1000)).is_some());
        assert!(index.forget(KIND, &of("a", 6, 0)).is_some());
        assert!(index.record(KIND, of("b", 7, 1000)).is_some());
    }
}
