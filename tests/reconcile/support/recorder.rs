//! Everything that happens in a namespace, in the order in which it was stored, and what must hold at every moment.
//!
//! All objects are in one store, so their resourceVersions say which of two changes came first, also between kinds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use flagsmith_operator::model::child::{Kind, is_pull, marks};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api,
    api::{ListParams, WatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind, WatchEvent},
};
use serde_json::Value;
use tokio::task::JoinSet;

use super::Sandbox;

/// Records until it is dropped.
pub struct Recorder {
    changes: Arc<Mutex<BTreeMap<u64, Change>>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Change {
    kind: String,
    name: String,
    created: bool,
    deleted: bool,
    object: Value,
}

impl Recorder {
    /// Records Jobs, Deployments and FlagsmithDeployments of a namespace from now on.
    pub async fn start(sandbox: &Sandbox) -> Self {
        let changes = Arc::new(Mutex::new(BTreeMap::new()));
        let mut tasks = JoinSet::new();
        let installations = ApiResource::from_gvk(&GroupVersionKind::gvk(
            "operator.flagsmith.com",
            "v1alpha1",
            "FlagsmithDeployment",
        ));
        for resource in [Kind::Job.api_resource(), Kind::Deployment.api_resource(), installations] {
            let api = Api::namespaced_with(sandbox.client.clone(), &sandbox.namespace, &resource);
            let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
            tasks.spawn(record(api, resource.kind, from, Arc::clone(&changes)));
        }
        Self { changes, _tasks: tasks }
    }

    /// Checks the invariants at every change so far; returns how many changes there were.
    pub fn verify(&self, client: &str) -> usize {
        let changes = self.changes.lock().unwrap().clone();
        let mut world = World::default();
        for (version, change) in &changes {
            if let Err(broken) = world.step(change) {
                panic!("{client}: at resourceVersion {version} ({} {}): {broken}", change.kind, change.name);
            }
        }
        changes.len()
    }

    /// How many Jobs that migrate were created since it started; those that only pull an image do not count.
    pub fn jobs(&self) -> usize {
        let changes = self.changes.lock().unwrap();
        let uids: BTreeSet<_> = changes
            .values()
            .filter(|change| change.kind == "Job" && change.created)
            .filter(|change| text(&change.object["metadata"]["name"]).contains("-migrate-"))
            .map(|change| change.object["metadata"]["uid"].to_string())
            .collect();
        uids.len()
    }
}

async fn record(
    api: Api<DynamicObject>,
    kind: String,
    mut from: String,
    changes: Arc<Mutex<BTreeMap<u64, Change>>>,
) {
    loop {
        let parameters = WatchParams::default().timeout(280);
        let Ok(stream) = api.watch(&parameters, &from).await else {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            continue;
        };
        let mut stream = stream.boxed();
        while let Ok(Some(event)) = stream.try_next().await {
            let (object, created, deleted) = match event {
                WatchEvent::Added(object) => (object, true, false),
                WatchEvent::Modified(object) => (object, false, false),
                WatchEvent::Deleted(object) => (object, false, true),
                WatchEvent::Bookmark(bookmark) => {
                    from = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(error) => panic!("{kind}: changes were lost: {error:?}"),
            };
            from = object.metadata.resource_version.clone().unwrap();
            let change = Change {
                kind: kind.clone(),
                name: object.metadata.name.clone().unwrap(),
                created,
                deleted,
                object: serde_json::to_value(&object).unwrap(),
            };
            changes.lock().unwrap().insert(from.parse().unwrap(), change);
        }
    }
}

/// What the changes so far have made of the namespace.
#[derive(Default)]
struct World {
    jobs: BTreeMap<String, Value>,
    /// The Job that was created for each attempt, by its name.
    attempts: BTreeMap<String, String>,
    deployments: BTreeMap<String, Value>,
    /// Releases that a status called migrated.
    recorded: BTreeSet<String>,
    /// Releases whose Job was complete.
    complete: BTreeSet<String>,
    /// The version that each generation of the specification asks for.
    versions: BTreeMap<i64, String>,
}

impl World {
    fn step(&mut self, change: &Change) -> Result<(), String> {
        match change.kind.as_str() {
            "Job" => self.job(change),
            "Deployment" => self.deployment(change),
            _ => self.installation(change),
        }
    }

    fn job(&mut self, change: &Change) -> Result<(), String> {
        let labels = &change.object["metadata"]["labels"];
        if labels[marks::MANAGED_BY] != marks::OPERATOR || is_pull(&change.object) {
            return Ok(());
        }
        let uid = change.object["metadata"]["uid"].to_string();
        if change.created && change.object["metadata"]["annotations"][marks::OPERATION] == marks::ROLL_BACK {
            self.undoes(&text(&labels[marks::VERSION]))?;
        }
        let first = self.attempts.entry(change.name.clone()).or_insert_with(|| uid.clone());
        if *first != uid {
            return Err("a second Job was created for the same migration".to_owned());
        }
        if holds(&change.object, "Complete") {
            self.complete.insert(text(&labels[marks::VERSION]));
        }
        if change.deleted {
            self.jobs.remove(&change.name);
        } else {
            self.jobs.insert(change.name.clone(), change.object.clone());
        }
        let active: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, job)| !holds(job, "Complete") && !holds(job, "Failed"))
            .map(|(name, _)| name)
            .collect();
        if active.len() > 1 {
            return Err(format!("two migrations are active: {active:?}"));
        }
        Ok(())
    }

    /// Migrations are about to be undone: no pod may need them, and what was migrated may be migrated again.
    fn undoes(&mut self, down_to: &str) -> Result<(), String> {
        for (name, deployment) in &self.deployments {
            let of = version(deployment);
            if of != down_to {
                return Err(format!("migrations are undone down to {down_to} while {name} runs {of}"));
            }
        }
        self.attempts.clear();
        self.recorded.retain(|release| release == down_to);
        self.complete.retain(|release| release == down_to);
        Ok(())
    }

    fn deployment(&mut self, change: &Change) -> Result<(), String> {
        if change.object["metadata"]["labels"][marks::MANAGED_BY] != marks::OPERATOR {
            return Ok(());
        }
        if change.deleted {
            self.deployments.remove(&change.name);
            return Ok(());
        }
        let version = version(&change.object);
        self.deployments.insert(change.name.clone(), change.object.clone());
        if !self.recorded.contains(&version) {
            return Err(format!("its pods run {version}, which no status has called migrated"));
        }
        if !self.complete.contains(&version) {
            return Err(format!("its pods run {version}, but no migration to it is complete"));
        }
        Ok(())
    }

    fn installation(&mut self, change: &Change) -> Result<(), String> {
        let object = &change.object;
        let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
        self.versions.insert(generation, text(&object["spec"]["version"]));
        let status = &object["status"];
        if status["migration"]["result"] == "Applied" {
            self.recorded.insert(text(&status["migration"]["version"]));
        }
        let Some(ready) = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|it| it["type"] == "Ready" && it["status"] == "True")
        else {
            return Ok(());
        };
        let observed = status["observedGeneration"].as_i64().unwrap_or_default();
        if ready["observedGeneration"].as_i64() != Some(observed) || observed > generation {
            return Err("Ready and the status are of different generations".to_owned());
        }
        if observed < generation {
            // The specification has changed, and the status says that it has not been looked at.
            return Ok(());
        }
        let wanted = self.versions.get(&observed).cloned().unwrap_or_default();
        for (name, deployment) in &self.deployments {
            let status = &deployment["status"];
            let behind =
                status["observedGeneration"].as_i64() < deployment["metadata"]["generation"].as_i64();
            if version(deployment) != wanted || behind {
                return Err(format!(
                    "Ready=True for generation {observed} while {name} runs {} (rollout seen by its controller: {})",
                    version(deployment),
                    !behind
                ));
            }
        }
        if self.deployments.len() < 3 {
            return Err(format!("Ready=True with {} Deployments", self.deployments.len()));
        }
        Ok(())
    }
}

fn holds(job: &Value, condition: &str) -> bool {
    job["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|it| it["type"] == condition && it["status"] == "True")
}

/// The tag of the image in a pod template.
fn version(deployment: &Value) -> String {
    let image = text(&deployment["spec"]["template"]["spec"]["containers"][0]["image"]);
    image.rsplit_once(':').map(|(_, tag)| tag.to_owned()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
