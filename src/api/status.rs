//! What the operator reports; see `report` for how it is computed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was observed of an installation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlagsmithDeploymentStatus {
    /// The `metadata.generation` that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The release that the API serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The migration of the wanted release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,

    /// Migrations that have ended, the newest first, at most ten. A way back is computed from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migration_history: Vec<MigrationStatus>,

    /// Pods of each component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<ComponentsStatus>,

    /// The timeouts from the proxy to the pod's end, all in seconds: computed from `requestTimeoutSeconds`, or with mode
    /// Observed read from what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutsStatus>,

    /// What is wrong, the most severe first, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<DiagnosisStatus>,

    /// Ready, `DatabaseReachable`, `MigrationsApplied`, `ApiAvailable`, `TaskProcessorAvailable`, `FrontendAvailable`,
    /// `TimeoutsAligned`, `ExposureReady`; Reconciling and Stalled only while they are True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One migration: what it is the key of, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// Identifies image, command and database; a new key means a new migration. Not known while the
    /// database's URL is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The release that is migrated to.
    pub version: String,
    /// How it stands.
    pub result: MigrationResult,
    /// Whether migrations are applied or undone.
    #[serde(default, skip_serializing_if = "MigrationOperation::is_migrate")]
    pub operation: MigrationOperation,
    /// The release that the database was at before, as far as it is known.
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
    /// How many migrations were not applied when the Job started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i32>,
    /// How many of them are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<i32>,
    /// The migration that is being applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The migration that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<String>,
    /// When the newest migration was applied that the database had before: undoing this upgrade means undoing what was
    /// applied later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_before: Option<MicroTime>,
    /// The database, as host:port/name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The backup Job that succeeded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
}

/// What a migration does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MigrationOperation {
    /// Applies what the release brings.
    #[default]
    Migrate,
    /// Undoes what a newer release brought.
    RollBack,
}

impl MigrationOperation {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_migrate(&self) -> bool {
        matches!(self, Self::Migrate)
    }
}

/// How a migration stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MigrationResult {
    /// A preflight check holds it back.
    Blocked,
    /// Its Job is about to be created.
    #[default]
    Pending,
    /// Its Job is running.
    Running,
    /// Every migration of the release is applied.
    Applied,
    /// Its Job has failed; nothing is retried by itself.
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
}

/// Pods of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// The release in the pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Pods that are wanted.
    pub desired: i32,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Ready and wanted pods, for example "2/2".
    pub summary: String,
    /// The label selector of the pods.
    pub selector: String,
}

/// The chain of timeouts, in seconds, from the proxy to the pod's end. With mode Observed it is what runs, without what
/// cannot be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeoutsStatus {
    /// `spec.requestTimeoutSeconds`; not with mode Observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<i32>,
    /// Gunicorn's worker class: `sync` ends a request at its timeout, `gthread` does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker_class: String,
    /// The proxy in front, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// The proxy's read and send timeout: set by the operator where it can be, else what it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_read: Option<i32>,
    /// How long the proxy keeps an idle connection to a pod, where that is known.
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
    /// The sleep of the pod's preStop hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<i32>,
    /// `terminationGracePeriodSeconds` of the pod.
    pub termination_grace_period: i32,
    /// PostgreSQL's `statement_timeout` of the API's sessions, where the operator sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout: Option<i32>,
}

/// One cause, with what was seen and what to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisStatus {
    /// The cause, as listed in docs/causes.md.
    pub code: String,
    /// Critical, Warning or Info.
    pub severity: String,
    /// The part of the installation that it speaks of.
    pub component: String,
    /// What is wrong.
    pub message: String,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The exact command or field to change.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// Since when it has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Where it is documented.
    pub docs: String,
}
