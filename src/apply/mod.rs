//! The sixth step: writes what differs, and nothing else.

mod agreed;
mod creation;
mod deletion;
mod diff;
mod drift;
mod error;
mod job;
mod removal;
mod secrets;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, Weak},
};

use agreed::Agreed;
use creation::Creation;
pub use diff::covers;
pub use drift::describe as differences;
pub use error::Error;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
pub use removal::removable;
pub use secrets::WrittenSecret;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    decide::{GeneratedSecret, Plan},
    model::{
        Component, Refusal, Refused,
        child::{Child, Kind, marks},
    },
    observe::{Object, Scope, Watched, Watches, index::Snapshot},
    runtime::cache::{Cache, PerInstallation},
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
    /// By uid: what each installation should be, once all of it was found to be so.
    agreed: PerInstallation<Arc<Agreed>>,
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
    /// Secrets that were made or written, and that this pass did not know: another one can go on at once.
    pub secrets: Vec<WrittenSecret>,
    /// Somebody else has changed an object since it was written: another pass has to look at it at once.
    pub overtaken: bool,
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
    Written {
        /// What was found changed of it.
        repaired: Option<Vec<String>>,
        /// Somebody else has changed it since.
        overtaken: bool,
    },
}

impl Applier {
    /// An applier that writes with this client, which is fenced.
    pub(crate) fn new(client: Client, watches: Arc<Watches>, scope: Scope) -> Self {
        let deleted = Cache::with_capacity(DELETED);
        Self {
            client,
            watches,
            scope,
            migrating: Mutex::default(),
            agreed: PerInstallation::default(),
            deleted,
        }
    }

    /// Forgets a deleted installation.
    pub(crate) fn forget(&self, uid: &str) {
        self.agreed.forget(uid);
    }

    /// How many installations something is remembered of.
    pub(crate) fn remembers(&self) -> usize {
        self.agreed.count()
    }

    /// Makes the cluster look like the plan. Returns also what was done before a failure. Objects are built
    /// only where the plan is new, or the fingerprint of the specification, or one of them is not as it was.
    ///
    /// # Errors
    /// The first failure that another attempt may overcome. One child that cannot be written keeps none of the others
    /// back.
    pub async fn apply(
        &self,
        installation: &Installation,
        plan: &Plan,
        specification: u64,
        build: impl FnOnce() -> Vec<Child>,
    ) -> (Applied, Result<(), Error>) {
        let mut applied = Applied::default();
        let identity = &installation.identity;
        let stands = |agreed: &Arc<Agreed>| agreed.stands(identity, plan, specification, &self.watches.index);
        let result = match self.agreed.get(&identity.uid).filter(stands) {
            Some(agreed) => {
                let wanted = |kind, name: &str| agreed.has(kind, name);
                self.remove_unwanted(installation, plan, wanted, &mut applied).await
            }
            None => self.apply_all(installation, plan, specification, build(), &mut applied).await,
        };
        (applied, result)
    }

    async fn apply_all(
        &self,
        installation: &Installation,
        plan: &Plan,
        specification: u64,
        children: Vec<Child>,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        self.agreed.forget(&installation.identity.uid);
        for secret in &plan.generate {
            match secrets::write(&self.client, installation, *secret).await {
                Ok(secret) => {
                    applied.written += 1;
                    applied.secrets.push(secret);
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
        let wanted = |kind, name: &str| children.iter().any(|it| it.kind == kind && it.name == name);
        let mut failed = self.remove_unwanted(installation, plan, wanted, applied).await.err();
        let mut pods_held = plan.pods_held;
        let mut agreed = Some(BTreeMap::new());
        for child in children {
            let (kind, name) = child.id();
            let component = child.component;
            // Pods find their account and their Secrets by names alone: whoever made one of these has not given it to
            // this installation.
            if pods_held && kind.has_pods() {
                agreed = None;
                continue;
            }
            let result = if kind == Kind::Job {
                agreed = None;
                self.create_job(installation, child).await.map(|creation| match creation {
                    Creation::Created => {
                        applied.job_created = Some(name.clone());
                        Outcome::Written { repaired: None, overtaken: false }
                    }
                    Creation::Exists | Creation::TooEarly => Outcome::Unchanged,
                    Creation::Held(holder) => {
                        applied.held = Some(holder);
                        Outcome::Unchanged
                    }
                })
            } else {
                let hash = hash(&child.body);
                if let Some(agreed) = &mut agreed {
                    agreed.insert((kind, name.clone()), hash.clone());
                }
                self.apply_child(installation, child, hash).await
            };
            match result {
                Ok(Outcome::Unchanged) => {}
                Ok(Outcome::Written { repaired, overtaken }) => {
                    applied.written += 1;
                    applied.overtaken |= overtaken;
                    let object = || format!("{} {name}", kind.as_str());
                    applied.repaired.extend(repaired.map(|changes| Repaired { object: object(), changes }));
                }
                Err(Error::Refused(why)) => {
                    pods_held |= kind == Kind::ServiceAccount && matches!(why, Refusal::NotOwned { .. });
                    applied.refused.push(Refused { kind, name, component, why });
                }
                Err(Error::NotLeading) => return Err(Error::NotLeading),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let (None, true, Some(children)) = (&failed, applied.refused.is_empty(), agreed) {
            let agreed = Agreed { specification, plan: plan.clone(), children };
            self.agreed.put(installation.identity.uid.clone(), Arc::new(agreed));
        }
        failed.map_or(Ok(()), Err)
    }

    fn api(&self, installation: &Installation, kind: Kind) -> Api<Object> {
        Api::namespaced_with(self.client.clone(), &installation.identity.namespace, &kind.api_resource())
    }

    /// Writes a child where it differs; `hash` is that of its body.
    async fn apply_child(
        &self,
        installation: &Installation,
        mut child: Child,
        hash: String,
    ) -> Result<Outcome, Error> {
        let namespace = &installation.identity.namespace;
        child.annotate(marks::APPLIED_HASH, &hash);
        let known = self.watches.index.get(Watched::Child(child.kind), namespace, &child.name);
        let (repaired, absent) = match &known {
            Some(snapshot) => {
                if !snapshot.owned_by(&installation.identity.uid) {
                    return Err(Error::Refused(Refusal::NotOwned {
                        owner: describe_owner(&snapshot.parse().unwrap_or_default()),
                    }));
                }
                if snapshot.is_settled(&hash) {
                    return Ok(Outcome::Unchanged);
                }
                // Without a text it was as it should be, and should be otherwise now.
                let live: Option<Value> = snapshot.parse();
                if live.as_ref().is_some_and(|live| covers(live, &child.body)) {
                    snapshot.settle(hash);
                    return Ok(Outcome::Unchanged);
                }
                // A foreign object that takes this one's place between the watch event and the write is refused
                // by the server.
                child.set_metadata("uid", json!(snapshot.uid));
                let drifted = |live: &Value| {
                    let annotations = live.pointer("/metadata/annotations")?;
                    (annotations.get(marks::APPLIED_HASH)?.as_str()? == hash).then_some(())
                };
                let drift =
                    live.and_then(|live| drifted(&live).map(|()| drift::describe(&live, &child.body)));
                (drift, false)
            }
            // The watches only show objects with our label.
            None => (None, true),
        };
        if let Some(snapshot) = &known {
            self.hand_over_replicas(installation, &child, snapshot).await?;
        }
        let writing = self.watches.index.writing(Watched::Child(child.kind), namespace, &child.name);
        let written = if absent {
            self.create_child(installation, &mut child).await?
        } else {
            self.patch(installation, &child).await?
        };
        let answered = writing.ended(&written);
        let overtaken = answered.is_none();
        if let Some(snapshot) = answered {
            snapshot.settle(hash);
        }
        tracing::info!(
            kind = child.kind.as_str(),
            name = child.name,
            namespace,
            repaired = repaired.is_some(),
            "applied"
        );
        Ok(Outcome::Written { repaired, overtaken })
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
        let Some(replicas) = snapshot.replicas() else {
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
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
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
