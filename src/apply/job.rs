//! Creating the Jobs of a migration, of its backup and of its images: each once, and never two of them beside each other on
//! the same database.

use std::{
    fmt::Debug,
    future::ready,
    pin::pin,
    sync::{Arc, PoisonError, Weak},
};

use futures::TryStreamExt as _;
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, ObjectMeta, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Applier, Error, creation::Creation, describe_owner};
use crate::{
    model::{
        Component, PodPhase, Refusal,
        child::{Child, Kind, marks},
    },
    observe::{
        Object, Watched, WorkloadState,
        external_migration::{describe, is_active},
        index::JobSeen,
    },
    runtime::client::listed,
    validate::Installation,
};

/// The label by which Kubernetes marks the pods of a Job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

impl Applier {
    /// Creates the Job unless a migration is active on its database, or its own task processor is while it would migrate.
    /// They are listed from the server and not from the watches, which may be behind.
    pub(super) async fn create_job(
        &self,
        installation: &Installation,
        child: Child,
    ) -> Result<Creation, Error> {
        let label = child.body.pointer("/metadata/labels").and_then(|labels| labels.get(marks::DATABASE));
        let Some(database) = label.and_then(Value::as_str).map(str::to_owned) else {
            // It works on none.
            return self.create(installation, child).await;
        };
        let lock = self.lock_of(&database);
        let _guard = lock.lock().await;
        if let Some(holder) = self.active(&database).await? {
            tracing::info!(
                job = child.name,
                namespace = installation.identity.namespace,
                holder = holder.name,
                holder_namespace = holder.namespace,
                "a Job waits for what works on its database"
            );
            return Ok(Creation::Held(describe(&holder, &installation.identity)));
        }
        if migrates(&child) && !self.stands_still(installation).await? {
            tracing::info!(
                job = child.name,
                "a migration waits for a task processor that was seen to stand still"
            );
            return Ok(Creation::TooEarly);
        }
        self.create(installation, child).await
    }

    /// Whether no task processor of this installation runs or is wanted. The last pass may have started it, and the answer to
    /// that may be lost.
    async fn stands_still(&self, installation: &Installation) -> Result<bool, Error> {
        let identity = &installation.identity;
        let component = Component::TaskProcessor.as_str();
        let labels = format!("{}={},{}={component}", marks::INSTANCE, identity.name, marks::COMPONENT);
        let deployments: Api<Deployment> = self.api_in(Some(&identity.namespace));
        let works = |it: &Deployment| {
            it.owner_references().iter().any(|owner| owner.uid == identity.uid)
                && !WorkloadState::from(it).stopped()
        };
        Ok(first(deployments, &ListParams::default().labels(&labels), works).await?.is_none())
    }

    async fn create(&self, installation: &Installation, child: Child) -> Result<Creation, Error> {
        let api = self.api(installation, Kind::Job);
        let object: Object = serde_json::from_str(&child.body.to_string())
            .map_err(|error| Error::Kube(Box::new(kube::Error::SerdeError(error))))?;
        let parameters =
            PostParams { field_manager: Some(marks::OPERATOR.to_owned()), ..PostParams::default() };
        let namespace = &installation.identity.namespace;
        let writing = self.watches.index.writing(Watched::Child(Kind::Job), namespace, &child.name);
        match api.create(&parameters, &object).await {
            Ok(created) => {
                tracing::info!(job = child.name, namespace, "made a Job");
                // What it has done since is reported by this pass.
                let _newest = writing.ended(&created);
                Ok(Creation::Created)
            }
            // The response to an earlier attempt may have been lost, or somebody else has a Job of that name.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = api.get_opt(&child.name).await.map_err(Error::from)?;
                let owned = |found: &Object| {
                    found.owner_references().iter().any(|owner| owner.uid == installation.identity.uid)
                };
                match found {
                    Some(found) if !owned(&found) => {
                        let found = serde_json::to_value(&found).unwrap_or_default();
                        Err(Error::Refused(Refusal::NotOwned { owner: describe_owner(&found) }))
                    }
                    Some(found) => {
                        let _newest = writing.ended(&found);
                        Ok(Creation::Exists)
                    }
                    None => Ok(Creation::Exists),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a Job migrates at this moment. Asked of the server: the watches may be behind, and what has begun is left
    /// to end by itself.
    pub(super) async fn has_begun(&self, installation: &Installation, name: &str) -> Result<bool, Error> {
        let selector = ListParams::default().labels(&format!("{JOB_NAME}={name}"));
        let pods: Api<Pod> = self.api_in(Some(&installation.identity.namespace));
        let works = |pod: &Pod| has_not_ended(pod) && !is_pending(pod);
        Ok(first(pods, &selector, works).await?.is_some())
    }

    /// The lock of a database; one that nobody holds or waits for is forgotten.
    pub(super) fn lock_of(&self, database: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.migrating.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(database).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(database.to_owned(), Arc::downgrade(&lock));
        lock
    }

    /// What works on the database with this label, in every namespace that the operator sees: a Job, or a pod that has
    /// outlived its own.
    async fn active(&self, label: &str) -> Result<Option<ObjectMeta>, Error> {
        let selector = ListParams::default().labels(&format!("{}={label}", marks::DATABASE));
        for namespace in self.scope.each() {
            let jobs: Api<Job> = self.api_in(namespace);
            if let Some(job) = first(jobs, &selector, |job| is_active(&JobSeen::from(job), label)).await? {
                return Ok(Some(job.metadata));
            }
            let pods: Api<Pod> = self.api_in(namespace);
            if let Some(pod) = first(pods, &selector, has_not_ended).await? {
                return Ok(Some(pod.metadata));
            }
        }
        Ok(None)
    }

    fn api_in<T>(&self, namespace: Option<&str>) -> Api<T>
    where
        T: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        T::DynamicType: Default,
    {
        namespace.map_or_else(
            || Api::all(self.client.clone()),
            |namespace| Api::namespaced(self.client.clone(), namespace),
        )
    }
}

/// The first object of a list for which this holds. Whoever has the label may have given it to any number of objects.
async fn first<T>(api: Api<T>, selector: &ListParams, holds: impl Fn(&T) -> bool) -> Result<Option<T>, Error>
where
    T: Clone + DeserializeOwned + Debug + Send + 'static,
{
    let found = listed(api, selector.clone()).try_filter(|object| ready(holds(object)));
    pin!(found).try_next().await.map_err(Error::from)
}

/// Whether a Job changes the schema; a backup does not.
fn migrates(child: &Child) -> bool {
    let annotations = child.body.pointer("/metadata/annotations");
    annotations.is_some_and(|it| it.get(marks::MIGRATION_KEY).is_some())
}

fn has_not_ended(pod: &Pod) -> bool {
    !phase(pod).is_some_and(PodPhase::has_ended)
}

/// Whether none of its containers has been started but those that initialise it.
fn is_pending(pod: &Pod) -> bool {
    phase(pod).is_none_or(|phase| phase == PodPhase::Pending)
}

fn phase(pod: &Pod) -> Option<PodPhase> {
    let phase = pod.status.as_ref()?.phase.as_deref()?;
    Some(PodPhase::named(phase))
}
