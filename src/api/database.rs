//! The database of an installation.

use std::str::FromStr;

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

/// One database in parts. What is not given is as in `database` itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseParts {
    /// The host: a DNS name or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,

    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,

    /// The name of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,

    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_from: Option<SecretValueSource>,

    /// The role's password, as it is: the operator encodes what a URL needs encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_from: Option<SecretValueSource>,

    /// `sslmode` of libpq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,
}

/// `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only where the server insists.
    Allow,
    /// Encrypted where the server can.
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, by a certificate of an authority of `caFrom`.
    VerifyCa,
    /// The same, and the certificate is the host's.
    VerifyFull,
}

impl SslMode {
    /// As libpq reads it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let all = [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];
        all.into_iter().find(|mode| mode.as_str() == name).ok_or(())
    }
}

/// Where Flagsmith keeps its data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.urlFrom) || has(self.host) || has(self.embedded)").message("one of urlFrom, host and embedded is needed: urlFrom names the Secret with DATABASE_URL, host with name, userFrom and passwordFrom says the same in parts, embedded: {} makes a small PostgreSQL for trying it out"),
    validation = Rule::new("!(has(self.urlFrom) && has(self.embedded))").message("urlFrom and embedded exclude each other: remove embedded to use your own database"),
    validation = Rule::new("!has(self.host) || (!has(self.urlFrom) && !has(self.embedded))").message("host goes without urlFrom and embedded: a database is given by its URL or in parts"),
    validation = Rule::new("!has(self.host) || (has(self.name) && has(self.userFrom) && has(self.passwordFrom))").message("with host, name, userFrom and passwordFrom are needed: the name of the database, and the keys of the Secrets that hold the role and its password"),
    validation = Rule::new("has(self.host) || (!has(self.port) && !has(self.name) && !has(self.userFrom) && !has(self.passwordFrom) && !has(self.sslMode) && !has(self.migration) && !has(self.taskProcessor) && !has(self.analytics) && !has(self.replicas))").message("port, name, userFrom, passwordFrom, sslMode, migration, taskProcessor, analytics and replicas go with host; with urlFrom all of it is in the URL"),
    validation = Rule::new("!(has(self.migration) && has(self.migrationUrlFrom)) && !(has(self.taskProcessor) && has(self.taskProcessorUrlFrom)) && !(has(self.analytics) && has(self.analyticsUrlFrom)) && !(has(self.replicas) && has(self.replicaUrlsFrom))").message("migration, taskProcessor, analytics and replicas say in parts what migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom say by URLs: keep one of the two"),
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

    /// The host, in place of `urlFrom`: a DNS name or an address. The operator puts the URL together from the parts, into
    /// a Secret that it owns, and follows when a part changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,

    /// The port. 5432 if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,

    /// The name of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,

    /// The role of the running components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_from: Option<SecretValueSource>,

    /// The role's password, as it is: the operator encodes what a URL needs encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_from: Option<SecretValueSource>,

    /// `sslmode` of libpq, which is prefer if not set. verify-ca and verify-full go by `caFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,

    /// The database in parts as the migration Job connects to it: with the role that owns the tables. The role of
    /// `userFrom` then needs no permission to change the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<DatabaseParts>,

    /// A separate database for queued tasks, in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_processor: Option<DatabaseParts>,

    /// A separate database for API usage data, in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<DatabaseParts>,

    /// Read replicas, in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub replicas: Option<Vec<DatabaseParts>>,

    /// The certificate authorities (or the server's own certificate) by which the operator itself verifies the servers
    /// of these URLs, where `sslmode` or `PGSSLMODE` has them verified; public authorities when not set. It is mounted
    /// into every pod that connects, as `/etc/flagsmith-database/ca.crt`: a database in parts is verified by it, and a URL
    /// may name that file as `sslrootcert`.
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
