//! What an API server keeps: objects with versions, who applied which fields, and what happened in which order.
//!
//! It does what the real one does for the requests that the operator makes; `real.rs` holds it to the real
//! one. Lists are atomic, unless their items have names.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// Resource, namespace, name.
pub type Key = (String, String, String);

/// Why a request is refused.
#[derive(Debug)]
pub struct Refused {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

pub fn refused(code: u16, reason: &'static str, message: impl Into<String>) -> Refused {
    Refused { code, reason, message: message.into() }
}

/// One change.
#[derive(Clone)]
pub struct Change {
    pub version: u64,
    pub kind: &'static str,
    pub resource: String,
    pub object: Value,
    /// What it was before.
    pub before: Value,
}

pub struct Store {
    begun: Instant,
    pub version: u64,
    uids: u64,
    pub objects: BTreeMap<Key, Value>,
    /// What each manager applied last.
    applied: BTreeMap<(Key, String), Value>,
    pub changes: Vec<Change>,
}

/// When every schedule begins, by the clock of the cluster.
pub const BEGINNING: &str = "2026-12-01T12:00:00Z";

/// What the server gives no generation.
const WITHOUT_GENERATION: [&str; 1] = ["leases"];

/// The version of an empty store: above the first, which no object ever has.
const EMPTY: u64 = 100;

impl Default for Store {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            version: EMPTY,
            uids: 0,
            objects: BTreeMap::new(),
            applied: BTreeMap::new(),
            changes: Vec::new(),
        }
    }
}

impl Store {
    /// How long it is there.
    pub fn age(&self) -> SignedDuration {
        SignedDuration::try_from(self.begun.elapsed()).unwrap()
    }

    /// The cluster's time, which is right.
    pub fn now(&self) -> String {
        format!("{:.0}", BEGINNING.parse::<Timestamp>().unwrap() + self.age())
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects of a resource.
    pub fn of(&self, resource: &str) -> Vec<(Key, Value)> {
        self.all(resource).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The same without copies.
    pub fn all<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = (&'a Key, &'a Value)> + 'a {
        let first = (resource.to_owned(), String::new(), String::new());
        self.objects.range(first..).take_while(move |(key, _)| key.0 == resource)
    }

    /// The first change of a resource after a version.
    pub fn next(&self, resource: &str, version: u64) -> Option<&Change> {
        let from = self.changes.partition_point(|it| it.version <= version);
        self.changes[from..].iter().find(|it| it.resource == resource)
    }

    pub fn create(&mut self, key: Key, mut object: Value) -> Result<Value, Refused> {
        if self.objects.contains_key(&key) {
            return Err(refused(409, "AlreadyExists", format!("{} {:?} already exists", key.0, key.2)));
        }
        self.uids += 1;
        let now = self.now();
        let metadata = object_of(&mut object, "metadata");
        metadata.insert("name".to_owned(), json!(key.2));
        metadata.insert("namespace".to_owned(), json!(key.1));
        metadata.insert("uid".to_owned(), json!(format!("uid-{}", self.uids)));
        metadata.insert("creationTimestamp".to_owned(), json!(now));
        if has_generation(&key) && object.get("spec").or(object.get("template")).is_some() {
            object["metadata"]["generation"] = json!(1);
        }
        if let Some(text) = object.get("stringData").cloned() {
            let data = object_of(&mut object, "data");
            for (name, value) in text.as_object().into_iter().flatten() {
                data.insert(name.clone(), base64(value.as_str().unwrap_or_default()));
            }
            object.as_object_mut().unwrap().remove("stringData");
        }
        Ok(self.put(key, object, "ADDED"))
    }

    /// Replaces an object; the same content is no change.
    pub fn update(&mut self, key: &Key, mut object: Value) -> Value {
        let before = self.objects[key].clone();
        if object == before {
            return before;
        }
        if has_generation(key) && wish(&object) != wish(&before) {
            object["metadata"]["generation"] =
                json!(before["metadata"]["generation"].as_u64().unwrap_or(0) + 1);
        }
        self.put(key.clone(), object, "MODIFIED")
    }

    /// Changes an object in place.
    pub fn edit(&mut self, key: &Key, edit: impl FnOnce(&mut Value)) {
        let mut object = self.objects[key].clone();
        edit(&mut object);
        self.update(key, object);
    }

    /// Puts an object in the place of the one that it was made from.
    pub fn replace(&mut self, key: &Key, mut object: Value) -> Result<Value, Refused> {
        let Some(live) = self.objects.get(key) else {
            // Of a Lease, which is all that is replaced, the server makes one where there is none, whatever its version.
            return match object["metadata"]["uid"].as_str() {
                Some(_) => Err(refused(409, "Conflict", "the object with this uid is gone")),
                None => self.create(key.clone(), object),
            };
        };
        let wanted = &object["metadata"];
        let differs = |field: &str| wanted[field].is_string() && wanted[field] != live["metadata"][field];
        if !wanted["resourceVersion"].is_string() {
            return Err(refused(422, "Invalid", "metadata.resourceVersion: must be specified for an update"));
        }
        if differs("resourceVersion") || differs("uid") {
            return Err(refused(409, "Conflict", "the object has been modified"));
        }
        for field in ["uid", "creationTimestamp", "generation", "managedFields"] {
            if !live["metadata"][field].is_null() {
                object["metadata"][field] = live["metadata"][field].clone();
            }
        }
        Ok(self.update(key, object))
    }

    /// Server-side apply; without force what another manager has applied keeps its value.
    pub fn apply(&mut self, key: &Key, manager: &str, force: bool, body: &Value) -> Result<Value, Refused> {
        let wanted = &body["metadata"];
        let Some(live) = self.objects.get(key).cloned() else {
            if wanted["uid"].is_string() {
                return Err(refused(409, "Conflict", "the object with this uid is gone"));
            }
            let mut created = body.clone();
            created["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            self.applied.insert((key.clone(), manager.to_owned()), created.clone());
            created["metadata"]["managedFields"] = self.managed(key);
            return self.create(key.clone(), created);
        };
        let differs = |field: &str| wanted[field].is_string() && wanted[field] != live["metadata"][field];
        if differs("resourceVersion") {
            return Err(refused(409, "Conflict", "the object has been modified"));
        }
        if differs("uid") {
            return Err(refused(422, "Invalid", "metadata.uid: field is immutable"));
        }
        let mut wanted = body.clone();
        for field in ["uid", "resourceVersion"] {
            wanted["metadata"].as_object_mut().unwrap().remove(field);
        }
        let mut merged = live;
        let others: Vec<&Value> = self
            .applied
            .iter()
            .filter(|((it, other), _)| it == key && other != manager)
            .map(|(_, value)| value)
            .collect();
        if !force && others.iter().any(|other| conflicts(&merged, other, &wanted)) {
            return Err(refused(409, "Conflict", "another manager has applied a field with another value"));
        }
        if let Some(before) = self.applied.get(&(key.clone(), manager.to_owned())) {
            take_away(&mut merged, before, &wanted, &others);
        }
        merge(&mut merged, &wanted);
        self.applied.insert((key.clone(), manager.to_owned()), wanted);
        merged["metadata"]["managedFields"] = self.managed(key);
        Ok(self.update(key, merged))
    }

    /// Who has applied which fields: a new version, even where no value is another.
    fn managed(&self, key: &Key) -> Value {
        let managers = self.applied.iter().filter(|((it, _), _)| it == key);
        let fields = managers.map(|((_, manager), applied)| {
            json!({ "manager": manager, "operation": "Apply", "fieldsV1": fields(applied) })
        });
        fields.collect()
    }

    /// Deletes; with `foreground` it stays until its pods are gone.
    pub fn delete(&mut self, key: &Key, foreground: bool) {
        let Some(object) = self.objects.get(key).cloned() else { return };
        if foreground && self.pods_of(&object).next().is_some() {
            let now = self.now();
            self.edit(key, |it| it["metadata"]["deletionTimestamp"] = json!(now));
            return;
        }
        self.objects.remove(key);
        self.applied.retain(|(it, _), _| it != key);
        self.version += 1;
        let mut last = object.clone();
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.changes.push(Change {
            version: self.version,
            kind: "DELETED",
            resource: key.0.clone(),
            object: last,
            before: object.clone(),
        });
        // The garbage collector.
        let uid = object["metadata"]["uid"].clone();
        let owned: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, it)| {
                it["metadata"]["ownerReferences"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|it| it["uid"] == uid))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            self.delete(&key, false);
        }
    }

    /// The names of the pods that an object owns.
    pub fn pods_of<'a>(&'a self, owner: &'a Value) -> impl Iterator<Item = &'a Key> + 'a {
        let uid = &owner["metadata"]["uid"];
        let owned = move |it: &Value| it["metadata"]["ownerReferences"][0]["uid"] == *uid;
        self.all("pods").filter(move |(_, it)| owned(it)).map(|(key, _)| key)
    }

    fn put(&mut self, key: Key, mut object: Value, kind: &'static str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert(key.clone(), object.clone()).unwrap_or_default();
        let change = Change { version: self.version, kind, resource: key.0, object: object.clone(), before };
        self.changes.push(change);
        object
    }
}

fn has_generation(key: &Key) -> bool {
    !WITHOUT_GENERATION.contains(&key.0.as_str())
}

/// The object in a field, made where there is none.
fn object_of<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !value[field].is_object() {
        value[field] = json!({});
    }
    value[field].as_object_mut().unwrap()
}

/// A text as a Secret holds it.
pub fn base64(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}

/// What tells an item of a list from its siblings.
fn name(item: &Value) -> Option<String> {
    ["name", "type", "uid", "mountPath", "containerPort", "port"]
        .iter()
        .find_map(|field| item.get(*field).map(|value| format!("{field} {value}")))
}

/// Merges what is applied into what is there.
fn merge(live: &mut Value, applied: &Value) {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => {
            for (field, value) in applied {
                merge(live.entry(field.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(live), Value::Array(applied)) if applied.iter().all(|it| name(it).is_some()) => {
            for item in applied {
                match live.iter_mut().find(|it| name(it) == name(item)) {
                    Some(known) => merge(known, item),
                    None => live.push(item.clone()),
                }
            }
        }
        (live, applied) => *live = applied.clone(),
    }
}

/// What of an object is no word of its controller's.
fn wish(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(field, _)| !matches!(field.as_str(), "metadata" | "status")).collect()
}

/// An object without its values.
fn fields(applied: &Value) -> Value {
    match applied {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), fields(value))).collect(),
        Value::Array(items) => items.iter().map(fields).collect(),
        _ => Value::Null,
    }
}

/// Whether a value is wanted that differs from the one that another manager has applied and that is there.
fn conflicts(live: &Value, other: &Value, wanted: &Value) -> bool {
    match (other, wanted) {
        (Value::Object(other), Value::Object(wanted)) => wanted.iter().any(|(field, value)| {
            other.get(field).is_some_and(|other| conflicts(&live[field], other, value))
        }),
        (Value::Array(_), Value::Array(_)) => false,
        (other, wanted) => other == live && wanted != live,
    }
}

/// Takes away what was applied before, is not any more, and nobody else has applied.
fn take_away(live: &mut Value, before: &Value, wanted: &Value, others: &[&Value]) {
    match (live, before) {
        (Value::Object(live), Value::Object(before)) => {
            for (field, value) in before {
                let elsewhere: Vec<&Value> = others.iter().filter_map(|it| it.get(field)).collect();
                match (live.get_mut(field), wanted.get(field)) {
                    (Some(_), None) if elsewhere.is_empty() => drop(live.remove(field)),
                    (Some(live), Some(wanted)) => take_away(live, value, wanted, &elsewhere),
                    _ => {}
                }
            }
        }
        (Value::Array(live), Value::Array(before)) => {
            let kept =
                |it: &Value| wanted.as_array().into_iter().flatten().any(|other| name(other) == name(it));
            let gone: Vec<_> = before.iter().filter(|it| name(it).is_some() && !kept(it)).map(name).collect();
            live.retain(|it| !gone.contains(&name(it)));
            for item in live {
                let was = before.iter().find(|it| name(it) == name(item));
                let is = wanted.as_array().into_iter().flatten().find(|it| name(it) == name(item));
                if let (Some(was), Some(is)) = (was, is) {
                    take_away(item, was, is, &[]);
                }
            }
        }
        _ => {}
    }
}
