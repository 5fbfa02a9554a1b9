//! The objects of one set of watches.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::Resource as _;

use super::{
    group::{Group, Groups},
    object::Object,
    priority,
    prune::Selector,
    snapshot::{Key, Snapshot},
    watched::Watched,
};
use crate::observe::Urgency;

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
    objects: BTreeMap<Arc<Key>, Arc<Snapshot>>,
    groups: Groups,
    counts: HashMap<Watched, usize>,
    /// What is being written at this moment.
    written: HashSet<Key>,
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
    pub fn record(&self, kind: Watched, object: &Object) -> Option<Change> {
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
        let urgency = match priority::urgency(kind, known, &snapshot) {
            _ if entries.written.contains(&key) => None,
            Some(Urgency::Now) if entries.is_one_step(&key, known, &snapshot) => Some(Urgency::Soon),
            urgency => urgency,
        };
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
        let gone: Vec<Arc<Key>> = entries
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

    /// All objects of a kind in a namespace, with their names.
    #[must_use]
    pub fn in_namespace(&self, kind: Watched, namespace: &str) -> Vec<(String, Arc<Snapshot>)> {
        let from = Key { kind, namespace: namespace.to_owned(), name: String::new() };
        self.read()
            .objects
            .range(from..)
            .take_while(|(key, _)| key.kind == kind && key.namespace == namespace)
            .map(|(key, snapshot)| (key.name.clone(), Arc::clone(snapshot)))
            .collect()
    }

    /// What the `FlagsmithDeployment` with this uid controls, kind by kind in the order in which they are applied.
    #[must_use]
    pub fn owned(&self, uid: &str) -> Vec<(Arc<Key>, Arc<Snapshot>)> {
        self.group(&Group::Owner(uid.to_owned()))
    }

    /// The pods of the installation of this name.
    #[must_use]
    pub fn pods(&self, namespace: &str, installation: &str) -> Vec<(Arc<Key>, Arc<Snapshot>)> {
        self.group(&Group::Pods(namespace.to_owned(), installation.to_owned()))
    }

    /// The autoscalers in a namespace that no `FlagsmithDeployment` controls.
    #[must_use]
    pub fn external_autoscalers(&self, namespace: &str) -> Vec<(Arc<Key>, Arc<Snapshot>)> {
        self.group(&Group::ExternalAutoscalers(namespace.to_owned()))
    }

    /// All migration Jobs on a database, in every namespace.
    #[must_use]
    pub fn jobs_on(&self, database: &str) -> Vec<(Arc<Key>, Arc<Snapshot>)> {
        self.group(&Group::Database(database.to_owned()))
    }

    fn group(&self, group: &Group) -> Vec<(Arc<Key>, Arc<Snapshot>)> {
        let entries = self.read();
        let members = entries.groups.members(group);
        let found = members.filter_map(|key| Some((Arc::clone(key), Arc::clone(entries.objects.get(key)?))));
        found.collect()
    }

    /// How many objects of a kind are known.
    #[must_use]
    pub fn len(&self, kind: Watched) -> usize {
        self.read().counts.get(&kind).copied().unwrap_or_default()
    }

    /// The caller writes an object: what the watches show of it meanwhile needs no pass but the one that writes.
    #[must_use]
    pub fn writing(&self, kind: Watched, namespace: &str, name: &str) -> Writing<'_> {
        let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        self.write().written.insert(key.clone());
        Writing { index: self, key }
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is under way. One that is dropped has failed, and a pass follows a failure.
#[derive(Debug)]
pub struct Writing<'a> {
    index: &'a Index,
    key: Key,
}

impl Writing<'_> {
    /// Records what the server answered; the watches may have been faster. Returns that state of the object, unless
    /// somebody else has made something newer of it since.
    #[must_use]
    pub fn ended(self, object: &Object) -> Option<Arc<Snapshot>> {
        self.index.record(self.key.kind, object);
        let newest = self.index.get(self.key.kind, &self.key.namespace, &self.key.name)?;
        (Some(newest.resource_version.to_string()) == object.meta().resource_version).then_some(newest)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.index.write().written.remove(&self.key);
    }
}

impl Entries {
    /// Whether a Deployment has become rolled out while others of its installation are not: the last one is waited for.
    fn is_one_step(&self, key: &Key, before: Option<&Snapshot>, after: &Snapshot) -> bool {
        let Some(owner) = after.owner.clone() else { return false };
        let owned = Group::Owner(owner);
        let others = self.groups.members(&owned).filter(|it| it.kind == key.kind && it.name != key.name);
        before.is_some_and(|before| priority::has_only_rolled_out(before, after))
            && others.filter_map(|it| self.objects.get(it)).any(|it| !priority::is_rolled_out(it))
    }

    fn insert(&mut self, key: Key, snapshot: Arc<Snapshot>) {
        let kind = key.kind;
        let key = match self.take(&key) {
            Some((known, _)) => known,
            None => Arc::new(key),
        };
        self.bytes = self.bytes.saturating_add(snapshot.size());
        *self.counts.entry(kind).or_default() += 1;
        self.groups.insert(&key, &snapshot);
        self.objects.insert(key, snapshot);
    }

    fn remove(&mut self, key: &Key) -> Option<Change> {
        let (key, snapshot) = self.take(key)?;
        Some(Change { key: Key::clone(&key), snapshot, urgency: Some(Urgency::Now) })
    }

    fn take(&mut self, key: &Key) -> Option<(Arc<Key>, Arc<Snapshot>)> {
        let (key, snapshot) = self.objects.remove_entry(key)?;
        self.groups.remove(&key, &snapshot);
        self.bytes = self.bytes.saturating_sub(snapshot.size());
        let count = self.counts.entry(key.kind).or_default();
        *count = count.saturating_sub(1);
        Some((key, snapshot))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::child::Kind;

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
        index.record(KIND, &deployment("a", "u", 5));
        assert!(index.record(KIND, &deployment("a", "u", 4)).is_none());
        assert!(index.record(KIND, &deployment("a", "u", 5)).is_none(), "an echo is news");
        assert_eq!(index.get(KIND, "ns", "a").unwrap().resource_version, 5);
        assert_eq!(index.len(KIND), 1);
    }

    #[test]
    fn an_object_of_a_list_is_like_one_of_a_watch() {
        let index = Index::default();
        index.record(KIND, &deployment("a", "u", 5));
        let body: Value = index.get(KIND, "ns", "a").unwrap().parse().unwrap();
        assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("apps/v1"), &json!("Deployment")));
    }

    #[test]
    fn the_deletion_of_a_predecessor_keeps_its_successor() {
        let index = Index::default();
        index.record(KIND, &deployment("a", "new", 7));
        assert!(index.forget(KIND, &deployment("a", "old", 6)).is_none());
        assert!(index.get(KIND, "ns", "a").is_some());
        assert!(index.forget(KIND, &deployment("a", "new", 8)).is_some());
        assert_eq!(index.len(KIND), 0);
    }

    #[test]
    fn a_list_drops_what_it_does_not_name() {
        let index = Index::default();
        index.record(KIND, &deployment("a", "1", 1));
        index.record(KIND, &deployment("b", "2", 2));
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
            index.record(KIND, &object(&body)).unwrap().snapshot
        };
        state(1, json!({}), json!({})).settle("hash".to_owned());
        assert!(state(2, json!({}), json!({ "replicas": 1 })).is_settled("hash"));
        assert!(!state(3, json!({ "a": "b" }), json!({})).is_settled("hash"));
    }

    #[test]
    fn the_revision_of_a_rollout_is_no_change_of_what_was_asked_for() {
        let index = Index::default();
        let state = |version: u64, annotations: Value| {
            let metadata = json!({ "name": "a", "uid": "u", "resourceVersion": version.to_string(), "annotations": annotations });
            index.record(KIND, &object(&json!({ "metadata": metadata }))).unwrap().snapshot
        };
        state(1, json!({ "a": "b" })).settle("hash".to_owned());
        assert!(state(2, json!({ "a": "b", "deployment.kubernetes.io/revision": "1" })).is_settled("hash"));
        assert!(!state(3, json!({ "a": "c", "deployment.kubernetes.io/revision": "1" })).is_settled("hash"));
    }

    #[test]
    fn what_the_watches_show_of_an_own_write_needs_no_further_pass() {
        let index = Index::default();
        let urgency = |version| index.record(KIND, &deployment("a", "u", version)).map(|it| it.urgency);
        let writing = index.writing(KIND, "ns", "a");
        assert_eq!(urgency(5), Some(None), "seen before the answer");
        let answered = writing.ended(&deployment("a", "u", 5));
        assert_eq!(answered.map(|it| it.resource_version), Some(5), "nobody else has written");
        let writing = index.writing(KIND, "ns", "a");
        assert_eq!((urgency(6), urgency(7)), (Some(None), Some(None)), "somebody else was as fast");
        assert!(writing.ended(&deployment("a", "u", 6)).is_none());
        assert_eq!(index.get(KIND, "ns", "a").unwrap().resource_version, 7);
        drop(index.writing(KIND, "ns", "a"));
        assert!(urgency(8).flatten().is_some(), "a write that failed hides nothing afterwards");
    }

    #[test]
    fn what_belongs_together_is_found_together() {
        let index = Index::default();
        let of = |kind, name: &str, labels: Value, owner: Option<&str>, version: u64| {
            let owner = owner.map(|uid| {
                json!({ "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "a",
                    "uid": uid, "controller": true })
            });
            let metadata = json!({ "name": name, "namespace": "ns", "uid": name, "resourceVersion": version.to_string(),
                "labels": labels, "ownerReferences": owner.as_slice() });
            index.record(kind, &object(&json!({ "metadata": metadata, "spec": {} })));
        };
        let (autoscaler, job) = (Watched::Child(Kind::HorizontalPodAutoscaler), Watched::Child(Kind::Job));
        of(KIND, "a-api", json!({}), Some("1"), 1);
        of(KIND, "b-api", json!({}), Some("2"), 2);
        of(autoscaler, "a-api", json!({}), Some("1"), 3);
        of(autoscaler, "keda", json!({}), None, 4);
        of(job, "a-migrate", json!({ "operator.flagsmith.com/database": "d" }), Some("1"), 5);
        of(Watched::Pod, "a-api-0", json!({ "app.kubernetes.io/instance": "a" }), None, 6);
        let names = |found: Vec<(Arc<Key>, Arc<Snapshot>)>| -> Vec<String> {
            found.iter().map(|(key, _)| key.name.clone()).collect()
        };
        assert_eq!(names(index.owned("1")), ["a-migrate", "a-api", "a-api"]);
        assert_eq!(names(index.pods("ns", "a")), ["a-api-0"]);
        assert_eq!(names(index.external_autoscalers("ns")), ["keda"]);
        assert_eq!(names(index.jobs_on("d")), ["a-migrate"]);
        // What changes hands is found with the new owner alone, and what is gone with none.
        of(KIND, "a-api", json!({}), Some("2"), 7);
        index.forget(
            Watched::Pod,
            &object(&json!({ "metadata": { "name": "a-api-0", "namespace": "ns", "uid": "a-api-0" } })),
        );
        assert_eq!(names(index.owned("1")), ["a-migrate", "a-api"]);
        assert_eq!(names(index.owned("2")), ["a-api", "b-api"]);
        assert_eq!(names(index.pods("ns", "a")), Vec::<String>::new());
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
        assert!(index.record(KIND, &of("a", 1, 1000)).is_some());
        assert!(index.record(KIND, &of("b", 2, 1000)).is_some());
        assert!(!index.overflowed());
        assert!(index.record(KIND, &of("c", 3, 1000)).is_none());
        assert!((index.overflowed(), index.len(KIND)) == (true, 2));
        // One that has grown out of it is not shown as it was before.
        assert_eq!(index.record(KIND, &of("b", 4, 9000)).unwrap().urgency, Some(Urgency::Now));
        assert!(index.get(KIND, "ns", "b").is_none());
        // What is gone makes room.
        assert!(index.record(KIND, &of("c", 5, 1000)).is_some());
        assert!(index.forget(KIND, &of("a", 6, 0)).is_some());
        assert!(index.record(KIND, &of("b", 7, 1000)).is_some());
    }
}
