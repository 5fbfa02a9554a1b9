//! The database of an installation.

use k8s_openapi::{
    api::core::v1::{ConfigMapKeySelector, ResourceRequirements, SecretKeySelector},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value from a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValueSource {
    /// The Secret and its key.
    pub secret_key_ref: SecretKeySelector,
}

/// Certificates, PEM, that are kept in a Secret or a `ConfigMap` of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("exactly one of secretKeyRef and configMapKeyRef is needed"))]
pub struct CertificatesSource {
    /// The Secret and the key in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeySelector>,

    /// The `ConfigMap` and the key in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeySelector>,
}

/// Where Flagsmith keeps its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.urlFrom) || has(self.embedded)").message("one of urlFrom and embedded is needed: urlFrom names the Secret with DATABASE_URL, embedded: {} makes a small PostgreSQL for trying it out"),
    validation = Rule::new("!(has(self.urlFrom) && has(self.embedded))").message("urlFrom and embedded exclude each other: remove embedded to use your own database"),
    validation = Rule::new("!has(self.embedded) || (!has(self.migrationUrlFrom) && !has(self.taskProcessorUrlFrom) && !has(self.analyticsUrlFrom) && !has(self.replicaUrlsFrom))").message("migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom go with urlFrom; the embedded database has one role and one server"),
    validation = Rule::new("!has(self.embedded) || !has(self.caFrom)").message("caFrom goes with urlFrom; the embedded database does not encrypt"),
    validation = Rule::new("!has(self.embedded) || type(self.embedded.storage) == int || isQuantity(self.embedded.storage)").message("must be a quantity such as \"10Gi\"").field_path(".embedded.storage"),
    validation = Rule::new("!has(self.embedded) || !has(oldSelf.embedded) || (self.embedded.storage == oldSelf.embedded.storage && has(self.embedded.storageClassName) == has(oldSelf.embedded.storageClassName) && (!has(self.embedded.storageClassName) || self.embedded.storageClassName == oldSelf.embedded.storageClassName))").message("embedded.storage and embedded.storageClassName cannot change: Kubernetes does not change the volume of a StatefulSet; dump the data, then create a new FlagsmithDeployment"),
    validation = Rule::new("has(self.embedded) == has(oldSelf.embedded)").message("a database cannot be exchanged under a running installation: dump and restore the data, then create a new FlagsmithDeployment"),
)]
pub struct DatabaseSpec {
    /// `DATABASE_URL`: `postgresql://USER:PASSWORD@HOST:PORT/NAME`, percent-encoded. Options such as
    /// `?sslmode=require` are passed to libpq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<SecretValueSource>,

    /// The certificate authorities (or the server's own certificate) by which the operator itself verifies the servers
    /// of these URLs, where `sslmode` or `PGSSLMODE` has them verified; public authorities when not set. The pods verify
    /// with the file that `sslrootcert` names, mounted by `volumes` and `volumeMounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_from: Option<CertificatesSource>,

    /// A `DATABASE_URL` for the migration Job only, of the same database but with the role that owns the tables. The
    /// role of `urlFrom` then needs no permission to change the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration_url_from: Option<SecretValueSource>,

    /// `TASK_PROCESSOR_DATABASE_URL`: a separate database for queued tasks. Tasks that are still queued in the main
    /// database are run as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_processor_url_from: Option<SecretValueSource>,

    /// `ANALYTICS_DATABASE_URL`: a separate database for API usage data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics_url_from: Option<SecretValueSource>,

    /// The URLs of read replicas, set as `REPLICA_DATABASE_URL_0` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub replica_urls_from: Option<Vec<SecretValueSource>>,

    /// A single PostgreSQL without backups, for evaluation only. Its volume is kept when the `FlagsmithDeployment` is
    /// deleted, unless `deletionPolicy` is Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedDatabaseSpec>,
}

/// A PostgreSQL that the operator runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedDatabaseSpec {
    /// The image, with a tag or a digest (`postgres:17@sha256:…`). It must accept the environment variables of the official `postgres` image.
    #[schemars(length(min = 1, max = 255))]
    pub image: String,

    /// The size of the volume.
    pub storage: Quantity,

    /// The `StorageClass` of the volume. Defaults to the cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,

    /// Compute resources of the PostgreSQL container.
    pub resources: ResourceRequirements,
}

impl Default for EmbeddedDatabaseSpec {
    fn default() -> Self {
        Self {
            image: "docker.io/library/postgres:17".to_owned(),
            storage: Quantity("10Gi".to_owned()),
            storage_class_name: None,
            resources: super::components::resources("100m", "256Mi", "1Gi"),
        }
    }
}
