//! A backup to be brought back, and what became of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replaces the content of the database with a dump that `backup.volumeClaim` has made. Everything that was written since
/// is lost. API and task processor are stopped meanwhile; a restore that fails leaves the database as it was. It runs once:
/// a restore that is there when the operator sees the resource for the first time does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSpec {
    /// The `name` of the backup in `status.backups`.
    #[schemars(length(min = 1, max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub from: String,
    /// The database whose content is replaced and the time of the backup, as HOST:PORT/NAME TIME. Without it nothing
    /// happens; the diagnosis `RestoreNotStarted` gives the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub confirm: Option<String>,
    /// Makes no backup of what is replaced, although `backup` is set: for a database that cannot be dumped any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_backup: bool,
}

/// What became of `spec.migrations.restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// The backup.
    pub from: String,
    /// The confirmation that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// What became of it.
    pub result: RestoreResult,
    /// When the database was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

impl RestoreStatus {
    /// Whether it is about what the specification asks for.
    #[must_use]
    pub fn is_of(&self, spec: &RestoreSpec) -> bool {
        self.from == spec.from && self.confirm == spec.confirm
    }
}

/// What became of a restore that runs no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestoreResult {
    /// The content of the database is that of the backup.
    Restored,
    /// It was there when the operator saw this resource for the first time: whether it had run before is not known.
    #[default]
    Ignored,
}
