//! What should be true after this pass.

use jiff::Timestamp;

use super::Gate;
use crate::{
    flagsmith::Release,
    observe::{DatabaseProbe, Observation, recognise, recognise_api, recognise_edge_proxy},
    timeouts::{Front, Timeouts},
    validate::Installation,
};
use crate::{
    migration::{Action, Step},
    validate::MigrationKey,
};

/// What should be true after this pass, decided from one observation.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Plan {
    /// Every timeout.
    pub timeouts: Timeouts,
    /// What stands in front of the pods.
    pub front: Front,
    /// What stands in front of the API, where the dashboard has its own; otherwise nothing.
    pub api_front: Front,
    /// What stands in front of the edge proxy; nothing where it has no hosts.
    pub edge_front: Front,
    /// The timeouts of the edge proxy's pods.
    pub edge_timeouts: Timeouts,
    /// How the migration stands.
    pub gate: Gate,
    /// What has to be done to the database next; unknown while its URL is.
    pub step: Option<Step>,
    /// The Job to create now.
    pub migrate: Option<Migrate>,
    /// The backup Job to create now.
    pub backup: Option<Backup>,
    /// The Job to create now that has images pulled.
    pub pull: Option<Pull>,
    /// Jobs to delete: finished ones that newer ones have superseded, and one that is not wanted any more and has not
    /// begun to migrate. Foreground deletion: the Job must stay visible until its pods are gone.
    pub superseded_jobs: Vec<String>,
    /// Generated Secrets to write now.
    pub generate: Vec<GeneratedSecret>,
    /// The newest release that the database is known to be migrated to, with its key.
    pub migrated: Option<Migrated>,
    /// The task processor, once it may exist.
    pub task_processor: Option<Workload>,
    /// The API, once it may exist.
    pub api: Option<Workload>,
    /// The frontend, once it may exist.
    pub frontend: Option<Workload>,
    /// The edge proxy, once it may exist.
    pub edge_proxy: Option<EdgeProxy>,
    /// API and task processor are stopped because a backup takes the place of what is in the database, or has, and no release
    /// has been migrated to since.
    pub is_restoring: bool,
    /// A Secret that pods read, and that the operator generates, is somebody else's: nothing with pods is made or changed.
    pub pods_held: bool,
    /// Whether an HTTPRoute can be made.
    pub http_route: bool,
    /// Whether a `PodMonitor` can be made.
    pub pod_monitor: bool,
}

impl Plan {
    /// For an installation of somebody else: nothing is made, started or deleted.
    #[must_use]
    pub fn of_nothing(installation: &Installation, observation: &Observation) -> Self {
        let chain = |front: &Front| {
            Timeouts::chain(
                installation.request_timeout,
                installation.api.gunicorn.threads,
                installation.api.gunicorn.keep_alive_seconds,
                front,
            )
        };
        let front = recognise(installation, observation);
        let api_front = recognise_api(installation, observation);
        let timeouts = match api_front {
            Front::Services => chain(&front),
            Front::Proxy { .. } => chain(&front).besides(&chain(&api_front)),
        };
        let edge_front = recognise_edge_proxy(installation, observation);
        Self {
            timeouts,
            edge_timeouts: chain(&edge_front),
            front,
            api_front,
            edge_front,
            gate: Gate::Succeeded,
            step: None,
            migrate: None,
            backup: None,
            pull: None,
            superseded_jobs: Vec::new(),
            generate: Vec::new(),
            migrated: None,
            task_processor: None,
            api: None,
            frontend: None,
            edge_proxy: None,
            is_restoring: false,
            pods_held: false,
            http_route: false,
            pod_monitor: false,
        }
    }
}

/// The edge proxy's pods. Their image is the specification's: it has releases of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeProxy {
    /// How many; `None` leaves it to an autoscaler.
    pub replicas: Option<i32>,
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
    /// The keyed hash of the URL that it reads.
    pub credentials: Option<String>,
    /// What it does.
    pub action: Action,
    /// What the database was like before.
    pub before: SchemaBaseline,
    /// libpq's `PGOPTIONS`; `None` where a pooler refuses them, or none are wanted.
    pub options: Option<String>,
}

/// What a database was like before a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaBaseline {
    /// The newest release that it was migrated to.
    pub release: Option<Release>,
    /// How many migrations were applied.
    pub count: Option<i64>,
    /// When the newest of them was.
    pub last_applied: Option<Timestamp>,
}

/// A backup Job to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name.
    pub name: String,
    /// The label value of its database.
    pub database: String,
    /// The newest release that it was migrated to.
    pub release: Option<Release>,
}

/// A Job to create that has images pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Its name.
    pub name: String,
    /// The release whose migration waits for them.
    pub release: Release,
    /// The images.
    pub images: Vec<String>,
}

impl Migrate {
    pub(super) fn new(
        installation: &Installation,
        observation: &Observation,
        step: &Step,
        lock: &str,
    ) -> Self {
        let preflight = observation.preflight();
        Self {
            name: step.job.clone(),
            key: step.key.clone(),
            release: step.release,
            database: lock.to_owned(),
            credentials: observation.secrets.migration_hash.clone(),
            action: step.action.clone(),
            before: SchemaBaseline {
                release: observation.newest_migrated(),
                count: preflight.map(|preflight| preflight.history.count),
                last_applied: preflight.and_then(|preflight| preflight.history.last_applied()),
            },
            options: options(installation, observation),
        }
    }
}

/// The first `server_version_num` that notices while it works that its client has gone (PostgreSQL 14): a statement of
/// a killed migration would otherwise go on, with its locks, beside the next one.
const CHECKS_CLIENT_SINCE: i32 = 140_000;

fn options(installation: &Installation, observation: &Observation) -> Option<String> {
    if observation.preflight().is_some_and(|preflight| !preflight.takes_options) {
        return None;
    }
    let mut options = Vec::new();
    if installation.migrations.lock_timeout_seconds > 0 {
        options.push(format!("-c lock_timeout={}s", installation.migrations.lock_timeout_seconds));
        if matches!(observation.database, DatabaseProbe::Reachable { version, .. } if version >= CHECKS_CLIENT_SINCE)
        {
            options.push("-c client_connection_check_interval=5s".to_owned());
        }
    }
    (!options.is_empty()).then(|| options.join(" "))
}

/// Proof that a database was migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The key of the migration.
    pub key: String,
    /// The newest release that it was migrated to.
    pub release: Release,
}

/// A Secret that the operator makes: once and never again, or as the parts are that it is put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratedSecret {
    /// Django's secret key.
    Django,
    /// Password and URL of the embedded database.
    EmbeddedDatabase,
    /// The URLs of a database that is given in parts; written again when a part changes.
    DatabaseUrls,
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
