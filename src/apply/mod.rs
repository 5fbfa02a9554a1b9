//! The sixth step: writes what differs, and nothing else.

mod creation;
mod diff;
mod drift;
mod error;
mod job;
mod removal;
mod secrets;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, Weak},
};

use creation::Creation;
pub use diff::covers;
pub use drift::describe as differences;
pub use error::Error;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::PartialObjectMeta,
};
pub use removal::removable;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    decide::{GeneratedSecret, Plan},
    model::{
        Component, Refusal, Refused,
        child::{Child, Kind, marks},
    },
    observe::{Object, Scope, Watched, Watches, index::Snapshot},
    runtime::cache::Cache,
    validate::Installation,
};

/// A resourceVersion that no object ever has: etcd's first revision is the empty store. A server-side apply that
/// names it creates an object that is absent, and conflicts with any that exists, so that creating takes one
/// request and cannot overwrite what appeared a moment ago.
const VERSION_OF_NOTHING: &str = "1";

/// Deletions that are remembered. Their events come within seconds, so that is many more than there are at once.
const DELETED: usize = 1_024;

/// Writes children, with one field manager, by server-side apply.
pub struct Applier {
    client: Client,
    watches: Arc<Watches>,
    scope: Scope,
    /// By database: held from looking for active migrations to creating a Job, so that two installations on one
    /// database cannot both find none.
    migrating: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// The uids of objects whose deletion the API server has accepted: the next pass may still see them as they were.
    deleted: Cache<String, ()>,
}

/// What came of applying a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Objects that were created, changed or deleted.
    pub written: usize,
    /// Objects that had drifted from what was applied before.
    pub repaired: Vec<Repaired>,
    /// Objects that the API server or their owner did not let be written.
    pub refused: Vec<Refused>,
    /// A migration Job that was created, by name.
    pub job_created: Option<String>,
    /// What else works on the database, so that a Job was not created.
    pub held: Option<String>,
    /// Another pass can go on at once: a Secret was generated that this one did not know.
    pub again: bool,
}

impl Applied {
    /// Whether nothing happened that whoever looks after the installation has to hear of.
    #[must_use]
    pub const fn has_nothing_to_tell(&self) -> bool {
        self.repaired.is_empty()
            && self.refused.is_empty()
            && self.job_created.is_none()
            && self.held.is_none()
    }
}

/// A child that somebody else had changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// It, as `Kind name`.
    pub object: String,
    /// What was found changed, and by whom where that is known.
    pub changes: Vec<String>,
}

/// What one write did.
enum Outcome {
    Unchanged,
    Written,
    Repaired(Vec<String>),
}

impl Applier {
    /// An applier that writes with this client, which is fenced.
    pub(crate) fn new(client: Client, watches: Arc<Watches>, scope: Scope) -> Self {
        let deleted = Cache::with_capacity(DELETED);
        Self { client, watches, scope, migrating: Mutex::default(), deleted }
    }

    /// Makes the cluster look like the plan. Returns also what was done before a failure.
    ///
    /// # Errors
    /// The first failure that another attempt may overcome. One child that cannot be written keeps none of the others
    /// back.
    pub async fn apply(
        &self,
        installation: &Installation,
        plan: &Plan,
        children: Vec<Child>,
    ) -> (Applied, Result<(), Error>) {
        let mut applied = Applied::default();
        let result = self.apply_all(installation, plan, children, &mut applied).await;
        (applied, result)
    }

    async fn apply_all(
        &self,
        installation: &Installation,
        plan: &Plan,
        children: Vec<Child>,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        for secret in &plan.generate {
            match secrets::write(&self.client, installation, *secret).await {
                Ok(()) => {
                    applied.written += 1;
                    applied.again = true;
                }
                // No pod can start without it.
                Err(Error::Refused(why)) => {
                    applied.refused.push(Refused {
                        kind: Kind::Secret,
                        name: secrets::key(installation, *secret).name.clone(),
                        component: match secret {
                            GeneratedSecret::Django => None,
                            GeneratedSecret::EmbeddedDatabase | GeneratedSecret::DatabaseUrls => {
                                Some(Component::Database)
                            }
                        },
                        why,
                    });
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        let mut failed = None;
        let names: BTreeSet<(Kind, String)> = children.iter().map(Child::id).collect();
        let mut pods_held = plan.pods_held;
        // Superseded Jobs go first: a crash must not leave one as proof of a migration that was undone since.
        for (kind, snapshot, name) in self.unwanted(installation, plan, &names) {
            if kind == Kind::Job && self.has_begun(installation, &name).await? {
                continue;
            }
            match self.delete(installation, kind, &name, &snapshot).await {
                Ok(()) => applied.written += 1,
                Err(Error::Refused(why)) => {
                    let label = snapshot.labels().remove(marks::COMPONENT);
                    applied.refused.push(Refused {
                        kind,
                        name,
                        component: label.as_deref().and_then(Component::named),
                        why,
                    });
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for child in children {
            let (kind, name) = child.id();
            let component = child.component;
            // Pods find their account and their Secrets by names alone: whoever made one of these has not given it to
            // this installation.
            if pods_held && kind.has_pods() {
                continue;
            }
            let result = if kind == Kind::Job {
                self.create_job(installation, child).await.map(|creation| match creation {
                    Creation::Created => {
                        applied.job_created = Some(name.clone());
                        Outcome::Written
                    }
                    Creation::Exists => Outcome::Unchanged,
                    Creation::Held(holder) => {
                        applied.held = Some(holder);
                        Outcome::Unchanged
                    }
                })
            } else {
                self.apply_child(installation, child).await
            };
            match result {
                Ok(Outcome::Unchanged) => {}
                Ok(Outcome::Written) => applied.written += 1,
                Ok(Outcome::Repaired(changes)) => {
                    applied.written += 1;
                    let object = format!("{} {name}", kind.as_str());
                    applied.repaired.push(Repaired { object, changes });
                }
                Err(Error::Refused(why)) => {
                    pods_held |= kind == Kind::ServiceAccount && matches!(why, Refusal::NotOwned { .. });
                    applied.refused.push(Refused { kind, name, component, why });
                }
                Err(Error::NotLeading) => return Err(Error::NotLeading),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn api(&self, installation: &Installation, kind: Kind) -> Api<Object> {
        Api::namespaced_with(self.client.clone(), &installation.identity.namespace, &kind.api_resource())
    }

    async fn apply_child(&self, installation: &Installation, mut child: Child) -> Result<Outcome, Error> {
        let namespace = &installation.identity.namespace;
        let hash = hash(&child.body);
        child.annotate(marks::APPLIED_HASH, &hash);
        let known = self.watches.index.get(Watched::Child(child.kind), namespace, &child.name);
        let (repaired, absent) = match &known {
            Some(snapshot) => {
                if !snapshot.owned_by(&installation.identity.uid) {
                    return Err(Error::Refused(Refusal::NotOwned {
                        owner: describe_owner(&parse(snapshot)),
                    }));
                }
                if snapshot.is_settled(&hash) {
                    return Ok(Outcome::Unchanged);
                }
                let live = parse(snapshot);
                if covers(&live, &child.body) {
                    snapshot.settle(hash);
                    return Ok(Outcome::Unchanged);
                }
                // A foreign object that takes this one's place between the watch event and the write is refused
                // by the server.
                child.set_metadata("uid", json!(snapshot.uid));
                let annotations = live.pointer("/metadata/annotations");
                let applied = annotations.and_then(|annotations| annotations.get(marks::APPLIED_HASH));
                let drifted = applied.and_then(Value::as_str) == Some(&hash);
                (drifted.then(|| drift::describe(&live, &child.body)), false)
            }
            // The watches only show objects with our label.
            None => (None, true),
        };
        if let Some(snapshot) = &known {
            self.hand_over_replicas(installation, &child, snapshot).await?;
        }
        let written = if absent {
            self.create_child(installation, &mut child).await?
        } else {
            self.patch(installation, &child).await?
        };
        if let Some(change) = self.watches.index.record(Watched::Child(child.kind), written) {
            change.snapshot.settle(hash);
        }
        tracing::info!(
            kind = child.kind.as_str(),
            name = child.name,
            namespace,
            repaired = repaired.is_some(),
            "applied"
        );
        Ok(repaired.map_or(Outcome::Written, Outcome::Repaired))
    }

    /// Keeps the number of pods when the operator stops deciding it: a field that its only owner no longer applies
    /// is removed, and the default of a Deployment is one pod. A second field manager holds the number until the
    /// autoscaler writes another. It does not insist: a conflict says that the autoscaler has done so since the number
    /// was seen, and owns the field.
    async fn hand_over_replicas(
        &self,
        installation: &Installation,
        child: &Child,
        snapshot: &Snapshot,
    ) -> Result<(), Error> {
        const REPLICAS: &str = "/spec/replicas";
        if child.kind != Kind::Deployment || child.body.pointer(REPLICAS).is_some() {
            return Ok(());
        }
        let Some(replicas) = parse(snapshot).pointer(REPLICAS).cloned() else {
            return Ok(());
        };
        let resource = child.kind.api_resource();
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "name": child.name, "uid": snapshot.uid },
            "spec": { "replicas": replicas },
        });
        let parameters = PatchParams::apply(marks::REPLICAS_KEEPER);
        match self.api(installation, child.kind).patch(&child.name, &parameters, &Patch::Apply(&body)).await {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Applies an object that the watches do not show, unless one of that name exists that is not ours.
    async fn create_child(&self, installation: &Installation, child: &mut Child) -> Result<Object, Error> {
        child.set_metadata("resourceVersion", json!(VERSION_OF_NOTHING));
        match self.patch(installation, child).await {
            Err(Error::Kube(error)) if is_conflict(&error) => {
                self.check_absent(installation, child.kind, &child.name).await?;
                child.remove_metadata("resourceVersion");
                self.patch(installation, child).await
            }
            result => result,
        }
    }

    async fn patch(&self, installation: &Installation, child: &Child) -> Result<Object, Error> {
        let mut parameters = PatchParams::apply(marks::OPERATOR).force();
        parameters.field_validation = Some(kube::api::ValidationDirective::Strict);
        self.api(installation, child.kind)
            .patch(&child.name, &parameters, &Patch::Apply(&child.body))
            .await
            .map_err(Error::from)
    }

    /// Fails unless there is no object of that name, or one that is ours and only lost its label.
    async fn check_absent(&self, installation: &Installation, kind: Kind, name: &str) -> Result<(), Error> {
        let found = self.api(installation, kind).get_metadata_opt(name).await.map_err(Error::from)?;
        match found {
            None => Ok(()),
            Some(found) if controller_uid(&found) == Some(installation.identity.uid.as_str()) => Ok(()),
            Some(found) => {
                let found = serde_json::to_value(&found).unwrap_or_default();
                Err(Error::Refused(Refusal::NotOwned { owner: describe_owner(&found) }))
            }
        }
    }

    /// Owned objects that the specification no longer asks for.
    fn unwanted(
        &self,
        installation: &Installation,
        plan: &Plan,
        wanted: &BTreeSet<(Kind, String)>,
    ) -> Vec<(Kind, Arc<Snapshot>, String)> {
        let identity = &installation.identity;
        let mut found = Vec::new();
        for kind in Kind::ALL {
            for (name, snapshot) in
                self.watches.index.named(Watched::Child(kind), &identity.namespace, &identity.name)
            {
                if !snapshot.owned_by(&identity.uid) || wanted.contains(&(kind, name.clone())) {
                    continue;
                }
                let is_deleted = || self.deleted.get(&snapshot.uid).is_some();
                if removable(installation, plan, kind, &name) && !is_deleted() {
                    found.push((kind, snapshot, name));
                }
            }
        }
        found
    }

    async fn delete(
        &self,
        installation: &Installation,
        kind: Kind,
        name: &str,
        snapshot: &Snapshot,
    ) -> Result<(), Error> {
        let parameters = match kind {
            // The Job must stay visible until its pods are gone: until then its migration may still run.
            Kind::Job => DeleteParams::foreground(),
            _ => DeleteParams::background(),
        };
        let parameters = parameters
            .preconditions(Preconditions { uid: Some(snapshot.uid.clone()), resource_version: None });
        match self.api(installation, kind).delete(name, &parameters).await {
            Ok(_) => {
                self.deleted.put(snapshot.uid.clone(), ());
                tracing::info!(
                    kind = kind.as_str(),
                    name,
                    namespace = installation.identity.namespace,
                    "deleted"
                );
                Ok(())
            }
            // Gone already, or another object has its name by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn parse(snapshot: &Snapshot) -> Value {
    snapshot.parse().unwrap_or_default()
}

fn controller_uid(object: &PartialObjectMeta<Object>) -> Option<&str> {
    let owners = object.metadata.owner_references.as_deref()?;
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// Who an object belongs to, as far as it says.
fn describe_owner(object: &Value) -> String {
    let metadata = &object["metadata"];
    let owner = metadata["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == json!(true));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let label = metadata["labels"].get(marks::MANAGED_BY).map(text).unwrap_or_default();
    match owner {
        Some(owner) => format!(
            "controlled by {} {} (uid {})",
            text(&owner["kind"]),
            text(&owner["name"]),
            text(&owner["uid"])
        ),
        None if label.is_empty() => {
            "it has no controller and no app.kubernetes.io/managed-by label".to_owned()
        }
        None => format!("it has no controller; app.kubernetes.io/managed-by is {label:?}"),
    }
}

/// Hexadecimal digits of the hash of a desired object.
const HASH_DIGITS: usize = 16;

fn hash(body: &Value) -> String {
    // serde_json's maps are ordered, so the text of equal values is equal.
    let digest = Sha256::digest(body.to_string().as_bytes());
    crate::model::hex::shortened(&digest, HASH_DIGITS)
}

#[cfg(test)]
mod tests;
