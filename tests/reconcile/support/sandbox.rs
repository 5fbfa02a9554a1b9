//! A namespace for one test, and one installation in it.

use std::time::Duration;

use flagsmith_operator::api::{self, FlagsmithDeployment};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, Secret},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::wait::{await_condition, conditions},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{SOON, client};

/// The name of every installation in these tests.
pub const NAME: &str = "flagsmith";

/// A namespace that is deleted at the end of the test.
pub struct Sandbox {
    pub client: Client,
    pub namespace: String,
}

impl Sandbox {
    /// A namespace with the Secret that [`Sandbox::spec`] names.
    pub async fn new(test: &str) -> Self {
        let sandbox = Self::empty(test).await;
        sandbox.database_secret().await;
        sandbox
    }

    /// Like [`Sandbox::new`], in the cluster of this client.
    pub async fn of(client: Client, test: &str) -> Self {
        let sandbox = Self::namespace(client, test).await;
        sandbox.database_secret().await;
        sandbox
    }

    /// A namespace without anything.
    pub async fn empty(test: &str) -> Self {
        Self::namespace(client().await, test).await
    }

    /// A namespace without anything, in the cluster of this client.
    pub async fn namespace(client: Client, test: &str) -> Self {
        let namespace = format!("{test}-{:08x}", rand::random::<u32>());
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &object(json!({ "metadata": { "name": namespace } })))
            .await
            .unwrap();
        Self { client, namespace }
    }

    /// The Secret, with the same URL in every namespace, so that migrations have the same names.
    pub async fn database_secret(&self) {
        self.database_secret_of("flagsmith").await;
    }

    /// The Secret with the URL of another database. Nobody connects to it.
    pub async fn database_secret_of(&self, database: &str) {
        // An address of documentation: what only a pod reaches would be another database in each namespace.
        self.url_secret("db", "192.0.2.1", database).await;
    }

    /// A Secret of this name, with the URL of a database of the same name.
    pub async fn database_secret_as(&self, name: &str) {
        self.url_secret(name, "192.0.2.1", name).await;
    }

    /// The Secret with the URL of a database on another host.
    pub async fn database_secret_at(&self, host: &str, database: &str) {
        self.url_secret("db", host, database).await;
    }

    async fn url_secret(&self, name: &str, host: &str, database: &str) {
        let url = format!("postgresql://flagsmith:secret@{host}:5432/{database}");
        self.create::<Secret>(json!({ "metadata": { "name": name }, "stringData": { "DATABASE_URL": url } }))
            .await;
    }

    pub fn api<T>(&self) -> Api<T>
    where
        T: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        T::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn create<T>(&self, body: Value) -> T
    where
        T: Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
        T::DynamicType: Default,
    {
        self.api::<T>().create(&PostParams::default(), &object(body)).await.unwrap()
    }

    /// Creates the installation; `changes` replace fields of the smallest useful specification.
    pub async fn install(&self, changes: Value) -> FlagsmithDeployment {
        self.create(json!({ "metadata": { "name": NAME }, "spec": spec(changes) })).await
    }

    /// Merges into the installation.
    pub async fn patch(&self, change: Value) -> FlagsmithDeployment {
        self.merge(NAME, change).await
    }

    /// Merges into an object.
    pub async fn merge<T>(&self, name: &str, change: Value) -> T
    where
        T: Resource<Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned + Clone + std::fmt::Debug,
        T::DynamicType: Default,
    {
        self.api::<T>().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
    }

    pub async fn delete<T>(&self, name: &str)
    where
        T: Resource<Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned + Clone + std::fmt::Debug,
        T::DynamicType: Default,
    {
        self.api::<T>().delete(name, &DeleteParams::background()).await.unwrap();
    }

    pub async fn installation(&self) -> FlagsmithDeployment {
        self.api().get(NAME).await.unwrap()
    }

    /// There is no database that could tell when its newest migration was applied: writes into the status what the
    /// operator would have read before the upgrade.
    pub async fn remembers_the_upgrade(&self) {
        let mut history = self.installation().await.status.unwrap().migration_history;
        let before: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        history[0].last_applied_before = Some(MicroTime(before));
        self.api::<FlagsmithDeployment>()
            .patch_status(
                NAME,
                &PatchParams::default(),
                &Patch::Merge(json!({ "status": { "migrationHistory": history } })),
            )
            .await
            .unwrap();
    }

    /// The component's Deployment.
    pub async fn deployment(&self, component: &str) -> Deployment {
        self.api().get(&format!("{NAME}-{component}")).await.unwrap()
    }

    /// Waits until the installation is as `holds` says; fails with its status when that takes longer than `limit`.
    pub async fn until(
        &self,
        limit: Duration,
        what: &str,
        holds: impl Fn(&FlagsmithDeployment) -> bool,
    ) -> FlagsmithDeployment {
        let waited = timeout(
            limit,
            await_condition(
                self.api::<FlagsmithDeployment>(),
                NAME,
                |object: Option<&FlagsmithDeployment>| object.is_some_and(&holds),
            ),
        )
        .await;
        match waited {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => {
                let now = self.installation().await;
                panic!(
                    "{}: not {what} within {limit:?}: {}",
                    self.namespace,
                    serde_json::to_string_pretty(&now.status).unwrap()
                )
            }
        }
    }

    /// Waits until the installation is what its newest specification asks for, and says so.
    pub async fn ready(&self) -> FlagsmithDeployment {
        self.until(SOON, "Ready", converged).await
    }

    /// Waits until an object is there and as `holds` says.
    pub async fn until_object<T>(
        &self,
        limit: Duration,
        name: &str,
        what: &str,
        holds: impl Fn(&T) -> bool,
    ) -> T
    where
        T: Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug
            + Send
            + 'static,
        T::DynamicType: Default,
    {
        timeout(
            limit,
            await_condition(self.api::<T>(), name, |object: Option<&T>| object.is_some_and(&holds)),
        )
        .await
        .unwrap_or_else(|_| panic!("{}: {name} is not {what} within {limit:?}", self.namespace))
        .unwrap()
        .unwrap()
    }

    /// Deletes the namespace; the cluster does the rest in its own time.
    pub async fn end(self) {
        Api::<Namespace>::all(self.client.clone())
            .delete(&self.namespace, &DeleteParams::background())
            .await
            .unwrap();
    }
}

/// Ready for the newest generation, with all pods counted.
pub fn converged(object: &FlagsmithDeployment) -> bool {
    let Some(status) = &object.status else {
        return false;
    };
    let counted = status.components.as_ref().is_some_and(|components| {
        [&components.api, &components.task_processor, &components.frontend]
            .into_iter()
            .all(|it| it.as_ref().is_some_and(|it| it.ready == it.desired && it.replicas == it.desired))
    });
    counted
        && status.observed_generation == object.metadata.generation
        && condition(object, "Ready").0 == "True"
}

/// Status and reason of a condition, when it is of the newest generation.
pub fn condition(object: &FlagsmithDeployment, kind: &str) -> (String, String) {
    object
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|it| it.type_ == kind && it.observed_generation == object.metadata.generation)
        .map(|it| (it.status.clone(), it.reason.clone()))
        .unwrap_or_default()
}

/// The smallest useful specification, with the fields of `changes` instead of its own.
fn spec(changes: Value) -> Value {
    let mut spec = json!({
        "version": "2.260.0",
        "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } },
    });
    let Value::Object(changes) = changes else { panic!("an object of fields is needed") };
    spec.as_object_mut().unwrap().extend(changes);
    spec
}

fn object<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// Installs the CRD and waits until it is served.
pub async fn install_crd(client: Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let crd = api::crd();
    let name = crd.name_any();
    api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(&crd)).await.unwrap();
    timeout(SOON, await_condition(api, &name, conditions::is_crd_established()))
        .await
        .expect("the CRD is established soon")
        .unwrap();
}
