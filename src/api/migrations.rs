//! The migration Job, the backup before it, and the way back.

use k8s_openapi::{
    api::core::v1::{
        EnvFromSource, EnvVar, PodTemplateSpec, ResourceRequirements, SecurityContext, VolumeMount,
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    KeptDumps, PodSettings, RestoreSpec,
    components::{is_default, resources},
};

/// The migration Job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationsSpec {
    /// `activeDeadlineSeconds` of the Job. Generous by default: large tables take a long time, and a migration that is
    /// killed halfway is worse than a slow one.
    #[schemars(range(min = 60, max = 604_800))]
    pub active_deadline_seconds: i64,
    /// `backoffLimit` of the Job: how many times a failed pod is replaced when the cause is transient (the network, a
    /// database that is starting, exhausted connections, locks). Any other failure fails the Job immediately.
    #[schemars(range(min = 0, max = 10))]
    pub backoff_limit: i32,
    /// How long a migration statement waits for a lock, in seconds; 0 waits forever. While it waits, every request
    /// that uses that table queues behind it, so keep this close to the longest time that a request may take. Passed to
    /// libpq in `PGOPTIONS`, unless a connection pooler rejects it; options in the URL take precedence.
    #[schemars(range(min = 0, max = 3600))]
    pub lock_timeout_seconds: i32,
    /// After the migrations, creates the first administrator, organisation and project if the database has no users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapSpec>,
    /// A backup to be completed before each migration of a database that holds data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Box<BackupSpec>>,
    /// Allows a downgrade by undoing the migrations of the newer release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackSpec>,
    /// Brings a backup back, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreSpec>,
    /// Compute resources of the container.
    pub resources: ResourceRequirements,
    /// Environment variables of the Job only; they take precedence over `spec.env`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// `ConfigMaps` and Secrets whose keys become environment variables of the Job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// Replaces the container's security context (by default: restricted Pod Security, read-only root).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<Box<SecurityContext>>,
    /// Additional volume mounts, for example the CA certificate of the database; list their volumes in
    /// `pod.volumes`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Pod settings of the Job, of the Job that has its image pulled, and of the one that dumps into
    /// `backup.volumeClaim`: scheduling, security, metadata, volumes, init containers.
    #[serde(skip_serializing_if = "is_default")]
    pub pod: PodSettings,
}

/// What `flagsmith bootstrap` creates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapSpec {
    /// The email address of the first administrator. The Job's log has a link to set the password.
    #[schemars(length(min = 3, max = 254))]
    pub admin_email: String,
    /// The name of the first organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub organisation_name: Option<String>,
    /// The name of the first project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub project_name: Option<String>,
}

/// A backup that must succeed before a database that holds data is migrated. Exactly one of `volumeClaim` and
/// `podTemplate` must be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// Runs `pg_dump` on the database to be migrated, as the role that migrates it, and writes a file to a volume claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<DumpSpec>,
    /// The pod of a Job that makes the backup in your own way. It must exit with status 0 only if the backup exists.
    /// `restartPolicy` is Never unless it is set to `OnFailure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pod_template")]
    pub pod_template: Option<Box<PodTemplateSpec>>,
    /// `activeDeadlineSeconds` of the backup Job.
    #[serde(default = "default_backup_deadline")]
    #[schemars(range(min = 60, max = 604_800))]
    pub active_deadline_seconds: i64,
}

/// Where `pg_dump` writes, and with which image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DumpSpec {
    /// An existing `PersistentVolumeClaim`. The file is named after the Job, with the suffix `.dump` (custom format, for
    /// `pg_restore`); only its owner, uid 999, may read it. It is not encrypted.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// An image whose `pg_dump` is at least as new as the server, with a tag or a digest.
    #[serde(default = "default_dump_image")]
    #[schemars(length(min = 1, max = 255))]
    pub image: String,
    /// Which files of this installation stay when another dump has been made and read back. All of them if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeptDumps>,
}

/// Confirms that the migrations of a newer release may be undone, which deletes the data in the tables and columns that
/// they created. `to` must equal `spec.version`. Remove it before the next upgrade, so that it cannot take effect twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackSpec {
    /// The release to which the database is migrated now.
    #[schemars(length(min = 1, max = 32))]
    pub from: String,
    /// The older release to go back to.
    #[schemars(length(min = 1, max = 32))]
    pub to: String,
    /// Undo every migration applied after this time. Defaults to the time that the operator recorded before the
    /// upgrade; required if it recorded none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_after: Option<MicroTime>,
    /// Undo the migrations before pods of the older release start. Without it those come first wherever they serve on the
    /// newer schema, so that no request is lost; set it where they turn out not to start there. Until the migrations are
    /// undone and the older pods are ready there is no API then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo_first: bool,
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
            restore: None,
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
pub const DUMP_IMAGE: &str = "docker.io/library/postgres:17";

fn default_dump_image() -> String {
    DUMP_IMAGE.to_owned()
}

/// The API server checks the pod when the Job is made; its whole schema would double the size of this resource's.
fn pod_template(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
