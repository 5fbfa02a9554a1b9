//! What must hold after each change, whoever made it.

use std::collections::BTreeSet;

use flagsmith_operator::model::child::marks;
use serde_json::Value;

use crate::store::{Change, Store};

#[derive(Default)]
pub struct Invariants {
    /// Whether the changes that are seen now are the operator's.
    pub by_operator: bool,
    /// What was broken.
    pub broken: Vec<String>,
    /// Releases whose migration has ended well.
    pub migrated: BTreeSet<String>,
}

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
            self.migrated.insert(version(&job["metadata"]));
        }
        if change.kind != "ADDED" || job["metadata"]["labels"][marks::DATABASE].is_null() {
            return;
        }
        let active = store.of("jobs").into_iter().filter(|(_, it)| {
            it["metadata"]["labels"][marks::DATABASE] == job["metadata"]["labels"][marks::DATABASE]
                && ended(it).is_none()
        });
        if active.count() != 1 {
            broken.push("two Jobs work on one database".to_owned());
        }
        if !migrates(job) {
            return;
        }
        // One that a deleted installation has left is the garbage collector's.
        let owner = |it: &Value| it["metadata"]["ownerReferences"][0]["uid"].clone();
        let processor = store
            .of("deployments")
            .into_iter()
            .find(|(key, it)| key.2.ends_with("-task-processor") && owner(it) == owner(job));
        if processor.is_some_and(|(_, it)| it["spec"]["replicas"] != 0) {
            broken.push("a migration begins beside a task processor that is wanted".to_owned());
        }
        let pods = store.of("pods");
        let of_processor = |it: &Value| {
            it["metadata"]["labels"][marks::COMPONENT] == "task-processor"
                && it["status"]["phase"] == "Running"
        };
        if pods.iter().any(|(_, it)| of_processor(it)) {
            broken.push("a migration begins beside a pod of the task processor".to_owned());
        }
    }

    fn deployment(&self, change: &Change, broken: &mut Vec<String>) {
        if change.kind == "DELETED" || change.object["metadata"]["name"] == "flagsmith-frontend" {
            return;
        }
        let of = |it: &Value| version(&it["spec"]["template"]["metadata"]);
        let (before, now) = (of(&change.before), of(&change.object));
        if before != now && !self.migrated.contains(&now) {
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
    for (key, deployment) in store.of("deployments") {
        let runs = version(&deployment["spec"]["template"]["metadata"]);
        if runs != wanted && key.2 != "flagsmith-frontend" {
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

fn version(metadata: &Value) -> String {
    metadata["labels"][marks::VERSION].as_str().unwrap_or_default().to_owned()
}
