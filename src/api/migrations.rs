//! The migration Job, what must be done before it, and the way back.

use k8s_openapi::{
    api::core::v1::{
        EnvFromSource, EnvVar, PodTemplateSpec, ResourceRequirements, SecurityContext, VolumeMount,
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    PodSettings,
    components::{is_default, resources},
};

/// The migration Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationsSpec {
    /// `activeDeadlineSeconds` of the Job. Generous, because large tables take long and a migration that is
    /// killed half-way is worse than a slow one.
    #[schemars(range(min = 60, max = 604_800))]
    pub active_deadline_seconds: i64,
    /// `backoffLimit` of the Job: how often a pod is replaced that failed of something that passes by
    /// itself: the network, a database that starts, used-up connections, locks. Anything else fails at once.
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// How long a statement of a migration waits for a lock, in seconds; 0 waits for ever. While it waits every
    /// request on that table waits behind it, so not much longer than a request may take. Handed to libpq as
    /// `PGOPTIONS`, unless a pooler in between refuses that; options in the URL win.
    #[schemars(range(min = 0, max = 3600))]
    pub lock_timeout_seconds: i32,
    /// After the migrations, make the first administrator, organisation and project in a database without users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapSpec>,
    /// A backup that every migration of a database that holds data waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSpec>,
    /// Allows a downgrade by undoing the migrations of the newer release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackSpec>,
    /// Compute resources of the container.
    pub resources: ResourceRequirements,
    /// Environment variables of the Job only; they win over `spec.env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// `ConfigMaps` and Secrets whose keys become environment variables of the Job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// Replaces the container's security context (by default: restricted Pod Security, read-only root).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<SecurityContext>,
    /// Further volume mounts, for example the certificate of the database's authority; their volumes are listed
    /// in `pod.volumes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Pod settings: scheduling, security, metadata, volumes.
    #[serde(skip_serializing_if = "is_default")]
    pub pod: PodSettings,
}

/// What `flagsmith bootstrap` makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapSpec {
    /// The first administrator, who gets a link to set a password in the Job's log.
    #[schemars(length(min = 3, max = 254))]
    pub admin_email: String,
    /// The first organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub organisation_name: Option<String>,
    /// The first project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub project_name: Option<String>,
}

/// A backup that must have succeeded before a database that holds data is migrated: exactly one of `volumeClaim` and
/// `podTemplate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// `pg_dump` of the database that is migrated, as the role that migrates, to a file of a volume claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<DumpSpec>,
    /// The pod of a Job that makes the backup in your own way. It ends with status 0 only when there is one.
    /// `restartPolicy` is Never unless it is set to `OnFailure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pod_template")]
    pub pod_template: Option<PodTemplateSpec>,
    /// `activeDeadlineSeconds` of the backup Job.
    #[serde(default = "default_backup_deadline")]
    #[schemars(range(min = 60, max = 604_800))]
    pub active_deadline_seconds: i64,
}

/// Where `pg_dump` writes, and with which image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DumpSpec {
    /// An existing `PersistentVolumeClaim`; the file has the name of the Job and the suffix `.dump` (format custom, for
    /// `pg_restore`). Old files are not removed.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// An image with `pg_dump` of at least the server's version.
    #[serde(default = "default_dump_image")]
    #[schemars(length(min = 1, max = 255))]
    pub image: String,
}

/// The confirmation that the migrations of a newer release may be undone, and with them what was stored in the tables
/// and columns that they made. Only valid together with `spec.version` equal to `to`: it must be removed before
/// another upgrade, so that it cannot act twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSpec {
    /// The release that the database was migrated to.
    #[schemars(length(min = 1, max = 32))]
    pub from: String,
    /// The older release to go back to.
    #[schemars(length(min = 1, max = 32))]
    pub to: String,
    /// Undo what was applied after this moment. By default the moment that the operator recorded before the
    /// upgrade; needed when it recorded none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_after: Option<MicroTime>,
}

impl Default for MigrationsSpec {
    fn default() -> Self {
        Self {
            active_deadline_seconds: 6 * 60 * 60,
            backoff_limit: 3,
            lock_timeout_seconds: 30,
            bootstrap: None,
            backup: None,
            rollback: None,
            resources: resources("100m", "512Mi", "1Gi"),
            env: Vec::new(),
            env_from: Vec::new(),
            container_security_context: None,
            volume_mounts: Vec::new(),
            pod: PodSettings::default(),
        }
    }
}

/// Dumping takes about as long as reading everything: hours for the largest installations.
const fn default_backup_deadline() -> i64 {
    6 * 60 * 60
}

/// `pg_dump` reads servers of its own version and of older ones.
fn default_dump_image() -> String {
    "docker.io/library/postgres:17".to_owned()
}

/// The API server checks the pod when the Job is made; its whole schema would double the size of this resource's.
fn pod_template(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
