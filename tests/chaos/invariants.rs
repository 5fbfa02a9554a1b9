//! What must hold after each change, whoever made it.

use std::collections::{BTreeMap, BTreeSet};

use flagsmith_operator::model::child::marks;
use serde_json::Value;

use crate::store::{Change, Store};

#[derive(Default)]
pub struct Invariants {
    /// Whether the changes that are seen now are the operator's.
    pub by_operator: bool,
    /// What was broken.
    pub broken: Vec<String>,
    /// Releases whose migration has ended well, of each installation.
    pub migrated: BTreeMap<Instance, BTreeSet<String>>,
}

/// Namespace and name of an installation.
pub type Instance = (String, String);

impl Invariants {
    pub fn see(&mut self, change: &Change, store: &Store) {
        let name = change.object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut broken = Vec::new();
        match change.resource.as_str() {
            "jobs" => self.job(change, store, &mut broken),
            "deployments" if self.by_operator => self.deployment(change, &mut broken),
            "secrets" if self.by_operator && change.kind != "ADDED" => {
                broken.push("a Secret is written over".to_owned());
            }
            "flagsmithdeployments" if self.by_operator => status(change, store, &mut broken),
            _ => {}
        }
        self.broken.extend(broken.into_iter().map(|it| format!("{} {name}: {it}", change.resource)));
    }

    /// Only who holds the lease writes, if there is one.
    pub fn writes(&mut self, from: &str, holder: Option<&Value>, what: &str) {
        if let Some(holder) = holder.filter(|holder| *holder != from) {
            self.broken.push(format!("{from} writes ({what}), and the lease is {holder}'s"));
        }
    }

    /// What is said of one resource is not written on the next of its name.
    pub fn status_of(&mut self, said: &Value, written: &Value) {
        let (meant, found) = (&said["metadata"]["uid"], &written["metadata"]["uid"]);
        if meant.is_string() && meant != found {
            self.broken.push(format!("the status of {meant} is written on {found}"));
        }
    }

    fn job(&mut self, change: &Change, store: &Store, broken: &mut Vec<String>) {
        let job = &change.object;
        if ended(job) == Some("Complete") && migrates(job) {
            self.migrated.entry(instance(job)).or_default().insert(version(&job["metadata"]));
        }
        if change.kind != "ADDED" || job["metadata"]["labels"][marks::DATABASE].is_null() {
            return;
        }
        // All installations are of one database, whatever its label is.
        let active = store
            .all("jobs")
            .filter(|(_, it)| !it["metadata"]["labels"][marks::DATABASE].is_null() && ended(it).is_none());
        if active.count() != 1 {
            broken.push("two Jobs work on one database".to_owned());
        }
        if !migrates(job) {
            return;
        }
        // One that a deleted installation has left, or that was made for it when it was gone, is the garbage collector's.
        let owner = |it: &Value| it["metadata"]["ownerReferences"][0]["uid"].clone();
        let processors = store.all("deployments").filter(|(_, it)| {
            it["metadata"]["labels"][marks::COMPONENT] == "task-processor" && owner(it) == owner(job)
        });
        for (_, processor) in processors {
            if processor["spec"]["replicas"] != 0 {
                broken.push("a migration begins beside a task processor that is wanted".to_owned());
            }
            let mut pods = store.pods_of(processor).filter_map(|key| store.get(key));
            if pods.any(|it| it["status"]["phase"] == "Running") {
                broken.push("a migration begins beside a pod of the task processor".to_owned());
            }
        }
    }

    fn deployment(&self, change: &Change, broken: &mut Vec<String>) {
        if change.kind == "DELETED" || is_frontend(&change.object) {
            return;
        }
        let of = |it: &Value| version(&it["spec"]["template"]["metadata"]);
        let (before, now) = (of(&change.before), of(&change.object));
        let migrated = self.migrated.get(&instance(&change.object));
        if before != now && !migrated.is_some_and(|it| it.contains(&now)) {
            broken.push(format!("it goes from {before:?} to {now} before the migration has ended"));
        }
    }
}

/// What is called Ready is what was asked for.
fn status(change: &Change, store: &Store, broken: &mut Vec<String>) {
    let object = &change.object;
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|it| it["type"] == "Ready");
    let holds = ready.is_some_and(|it| {
        it["status"] == "True" && it["observedGeneration"] == object["metadata"]["generation"]
    });
    if !holds || object["spec"]["suspend"] == true {
        return;
    }
    let wanted = object["spec"]["version"].as_str().unwrap_or_default();
    let metadata = &object["metadata"];
    for (key, deployment) in store.all("deployments") {
        let (namespace, name) = instance(deployment);
        if metadata["namespace"] != namespace || metadata["name"] != name {
            continue;
        }
        let runs = version(&deployment["spec"]["template"]["metadata"]);
        if runs != wanted && !is_frontend(deployment) {
            broken.push(format!("Ready at {wanted}, and {} is of {runs}", key.2));
        }
    }
}

/// How a Job has ended.
pub fn ended(job: &Value) -> Option<&str> {
    let conditions = job["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|it| it["status"] == "True");
    found.and_then(|it| it["type"].as_str())
}

fn migrates(job: &Value) -> bool {
    let labels = &job["metadata"]["labels"];
    let annotations = &job["metadata"]["annotations"];
    let is = |value: &str| labels[marks::OPERATION] == value || annotations[marks::OPERATION] == value;
    !labels[marks::DATABASE].is_null() && !is(marks::PULL) && !is(marks::ROLL_BACK) && !is(marks::RESTORE)
}

/// Which installation an object is of.
fn instance(object: &Value) -> Instance {
    let metadata = &object["metadata"];
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    (text(&metadata["namespace"]), text(&metadata["labels"][marks::INSTANCE]))
}

fn is_frontend(deployment: &Value) -> bool {
    deployment["metadata"]["labels"][marks::COMPONENT] == "frontend"
}

fn version(metadata: &Value) -> String {
    metadata["labels"][marks::VERSION].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Key;

    fn key(resource: &str, name: &str) -> Key {
        (resource.to_owned(), "prod".to_owned(), name.to_owned())
    }

    /// An object of an installation, with labels besides.
    fn object(owner: &str, labels: Value, spec: Value) -> Value {
        json!({ "metadata": { "labels": labels, "ownerReferences": [{ "uid": owner }] }, "spec": spec })
    }

    fn job(store: &mut Store, name: &str, owner: &str, database: &str) -> Vec<String> {
        store
            .create(key("jobs", name), object(owner, json!({ marks::DATABASE: database }), json!({})))
            .unwrap();
        let mut invariants = Invariants::default();
        invariants.see(store.changes.last().unwrap(), store);
        invariants.broken
    }

    #[tokio::test]
    async fn a_migration_begins_beside_no_task_processor_of_its_own() {
        for (owner, wanted, found) in
            [("one", 0, "beside a pod"), ("one", 1, "that is wanted"), ("gone", 1, "")]
        {
            let mut store = Store::default();
            let labels = json!({ marks::COMPONENT: "task-processor" });
            let processor = object(owner, labels, json!({ "replicas": wanted }));
            let processor = store.create(key("deployments", "processor"), processor).unwrap();
            let owner = processor["metadata"]["uid"].as_str().unwrap();
            let mut pod = object(owner, json!({ marks::COMPONENT: "task-processor" }), json!({}));
            pod["status"]["phase"] = json!("Running");
            store.create(key("pods", "processor-1"), pod).unwrap();
            let broken = job(&mut store, "migrate", "one", "a").join(" ");
            assert!(broken.contains(found) && found.is_empty() == broken.is_empty(), "{found:?} {broken:?}");
        }
    }

    #[tokio::test]
    async fn two_installations_migrate_one_after_the_other() {
        let mut store = Store::default();
        assert_eq!(job(&mut store, "first", "one", "a"), [] as [&str; 0]);
        assert_eq!(job(&mut store, "second", "two", "b"), ["jobs second: two Jobs work on one database"]);
        store.edit(&key("jobs", "first"), |it| {
            it["status"] = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
        });
        store.delete(&key("jobs", "second"), false);
        assert_eq!(job(&mut store, "third", "two", "b"), [] as [&str; 0]);
    }
}
