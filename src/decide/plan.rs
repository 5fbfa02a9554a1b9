//! What should be true after this pass.

use super::{Gate, MigrationKey};
use crate::{
    flagsmith::Release,
    timeouts::{Front, Timeouts},
};

/// What should be true after this pass, decided from one observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Every timeout.
    pub timeouts: Timeouts,
    /// What stands in front of the pods.
    pub front: Front,
    /// How the migration stands.
    pub gate: Gate,
    /// The key of the wanted migration.
    pub key: Option<MigrationKey>,
    /// The Job to create now.
    pub migrate: Option<Migrate>,
    /// Jobs to delete: finished ones that newer ones have superseded, and one that is not wanted any more and
    /// cannot start. Foreground deletion: the Job must stay visible until its pods are gone.
    pub superseded_jobs: Vec<String>,
    /// Generated Secrets to create now.
    pub generate: Vec<GeneratedSecret>,
    /// The newest release that the database is known to be migrated to, with its key.
    pub migrated: Option<Migrated>,
    /// The task processor, once it may exist.
    pub task_processor: Option<Workload>,
    /// The API, once it may exist.
    pub api: Option<Workload>,
    /// The frontend, once it may exist.
    pub frontend: Option<Workload>,
    /// Whether an HTTPRoute can be made.
    pub http_route: bool,
}

/// A migration Job to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrate {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: MigrationKey,
    /// The release to migrate to.
    pub release: Release,
    /// The label value of its database.
    pub database: String,
}

/// Proof that a database was migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The key of the migration.
    pub key: String,
    /// The newest release that it was migrated to.
    pub release: Release,
}

/// A Secret that the operator makes once and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratedSecret {
    /// Django's secret key.
    Django,
    /// Password and URL of the embedded database.
    EmbeddedDatabase,
}

/// One Deployment as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The release in its pod template.
    pub release: Release,
    /// The image of its container. What runs keeps its image, repository and tag, until the migration of the
    /// wanted one is recorded.
    pub image: String,
    /// The number of pods; `None` leaves it to an autoscaler.
    pub replicas: Option<i32>,
    /// The hash of the Secrets that its pods start with.
    pub secret_hash: Option<String>,
}
