//! What the operator reports; see `report` for how it is computed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BackupStatus, RestoreStatus, UpgradeStatus};

/// The observed state of an installation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlagsmithDeploymentStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The release that the API serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The migration that is due, or was last: to `spec.version`, or to the next stop on the way there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,

    /// The way to `spec.version`, while it has stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,

    /// The last ten finished migrations, the newest first. Rollbacks are planned from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migration_history: Vec<MigrationStatus>,

    /// Backups that were made before migrations, the newest first: at most twenty. Of a volume claim those that were in it
    /// after the last dump.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<BackupStatus>,

    /// What became of `spec.migrations.restore`, as long as that is set: it does not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,

    /// Pods of each component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<ComponentsStatus>,

    /// The timeouts from the proxy to the termination of the pod, in seconds: derived from `requestTimeoutSeconds`, or in
    /// mode Observed read from what is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsStatus>,

    /// What is wrong: at most ten diagnoses, the most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<DiagnosisStatus>,

    /// Ready, `DatabaseReachable`, `MigrationsApplied`, `ApiAvailable`, `TaskProcessorAvailable`, `FrontendAvailable`, `EdgeProxyAvailable` where one is wanted,
    /// `TimeoutsAligned`, `ExposureReady`; Reconciling and Stalled only while they are True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One migration and its state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// Identifies image, command and database: a new key means a new migration. Not set until the URL of the database is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The release to which the database is migrated; empty where a backup is restored whose release is not known.
    pub version: String,
    /// The state of the migration.
    pub result: MigrationResult,
    /// Whether migrations are applied or undone, or a backup is restored.
    #[serde(default, skip_serializing_if = "MigrationOperation::is_migrate")]
    pub operation: MigrationOperation,
    /// The release to which the database was migrated before, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The Job that runs or ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When the Job started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When the Job finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
    /// How many migrations were pending when the Job started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i32>,
    /// How many of them are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<i32>,
    /// The migration that is currently being applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The migration that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<String>,
    /// What has to change before a failed migration is attempted again by itself. Not set where a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<AwaitedChange>,
    /// When the newest of the earlier migrations was applied. Undoing this upgrade means undoing every migration applied
    /// after that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_before: Option<MicroTime>,
    /// The database, as host:port/name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The backup Job that succeeded before this migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
}

/// What a failed migration was given too little or wrongly of. Another value starts another attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwaitedChange {
    /// What it is.
    pub what: Circumstance,
    /// What the failed Job was given: the memory limit, empty if it had none, or a keyed hash of the credentials.
    pub given: String,
}

/// What a migration Job is given and may fail of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Circumstance {
    /// The database URL in its Secret.
    Credentials,
    /// The memory limit of its containers.
    MemoryLimit,
}

/// What a migration does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MigrationOperation {
    /// Applies the migrations of the release.
    #[default]
    Migrate,
    /// Undoes the migrations of a newer release.
    RollBack,
    /// Replaces the content of the database with that of a backup.
    Restore,
}

impl MigrationOperation {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_migrate(&self) -> bool {
        matches!(self, Self::Migrate)
    }
}

/// The state of a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MigrationResult {
    /// A preflight check prevents it from starting.
    Blocked,
    /// Its Job is about to be created.
    #[default]
    Pending,
    /// Its Job is running.
    Running,
    /// Every migration of the release is applied.
    Applied,
    /// Its Job has failed. It is not retried automatically.
    Failed,
}

/// Pods of each component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentsStatus {
    /// The API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ComponentStatus>,
    /// The task processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_processor: Option<ComponentStatus>,
    /// The frontend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<ComponentStatus>,
    /// The edge proxy, where one is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_proxy: Option<ComponentStatus>,
}

/// Pods of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// The release in the pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The desired number of pods.
    pub desired: i32,
    /// The number of pods that exist.
    pub replicas: i32,
    /// The number of pods that are ready.
    pub ready: i32,
    /// Ready and desired pods, for example "2/2".
    pub summary: String,
    /// The label selector of the pods.
    pub selector: String,
}

/// The timeouts from the proxy to the termination of the pod, in seconds. In mode Observed these are the values in
/// effect, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeoutsStatus {
    /// `spec.requestTimeoutSeconds`. Not set in mode Observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<i32>,
    /// Gunicorn's worker class: `sync` kills a worker whose request exceeds the timeout, `gthread` does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker_class: String,
    /// The proxy in front of the pods, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The proxy's read and send timeout: as set by the operator, or what it should be where the operator cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_read: Option<i32>,
    /// How long the proxy keeps an idle connection to a pod, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_idle: Option<i32>,
    /// Gunicorn's `--timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gunicorn_timeout: Option<i32>,
    /// Gunicorn's `--keep-alive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gunicorn_keep_alive: Option<i32>,
    /// Gunicorn's `--graceful-timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gunicorn_graceful_timeout: Option<i32>,
    /// How long the preStop hook of the pod sleeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<i32>,
    /// `terminationGracePeriodSeconds` of the pod.
    pub termination_grace_period: i32,
    /// PostgreSQL's `statement_timeout` for the API's sessions, if it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout: Option<i32>,
}

/// Something that is wrong: its cause, the evidence and the remedy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisStatus {
    /// The cause: one of the codes that the documentation lists.
    pub code: String,
    /// Critical, Warning or Info.
    pub severity: String,
    /// The affected part of the installation.
    pub component: String,
    /// What is wrong.
    pub message: String,
    /// The evidence: log lines, query results, values that contradict each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do: the exact command, or the field to change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// When it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Where the cause is documented.
    pub docs: String,
}
