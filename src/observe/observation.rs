//! What was seen of one installation in one pass: plain data, without any secret value.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use jiff::Timestamp;

use super::{
    FrontSeen, JobOutcome, JobState, PodLogFindings, Preflight, ProbeKill, ThreadUsage, WorkloadState,
    database::{DatabaseProbe, ProbeFailure, Queues},
};
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationResult, MigrationStatus},
    flagsmith::Release,
    model::Component,
    postgres::DatabaseIdentity,
};

/// What was seen of one installation in one pass.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When the pass began.
    pub now: Timestamp,
    /// The status as it was written last.
    pub previous: FlagsmithDeploymentStatus,
    /// The API's Deployment.
    pub api: Option<WorkloadState>,
    /// The task processor's Deployment.
    pub task_processor: Option<WorkloadState>,
    /// The frontend's Deployment.
    pub frontend: Option<WorkloadState>,
    /// The embedded database's `StatefulSet`.
    pub embedded_database: Option<WorkloadState>,
    /// Migration Jobs of this installation.
    pub jobs: Vec<JobState>,
    /// Another migrator on the same database: a Job of another installation, or a pod that is not the operator's.
    pub external_migration: Option<String>,
    /// Pods of this installation.
    pub pods: Vec<PodSummary>,
    /// What was read of their logs and Events.
    pub pod_logs: PodLogFindings,
    /// The Secrets that the installation refers to.
    pub secrets: Secrets,
    /// What a connection to the database gave.
    pub database: DatabaseProbe,
    /// What the task tables show.
    pub queues: Queues,
    /// What a migration meets there, asked with its own credentials; `None` when there was nobody to ask.
    pub preflight: Option<Result<Preflight, ProbeFailure>>,
    /// Jobs that make a backup before a migration.
    pub backups: Vec<JobState>,
    /// Deployments of this installation whose pods are counted by somebody else's autoscaler.
    pub external_autoscalers: BTreeSet<String>,
    /// Containers of somebody else's pods that migrate or have migrated.
    pub migrators: Vec<MigratorRun>,
    /// Nothing names the release of somebody else's installation: rules take it for the oldest that the operator knows.
    pub release_assumed: bool,
    /// Names of the Services in the namespace of somebody else's installation.
    pub services: Vec<String>,
    /// Releases of the official chart in the namespace, where somebody else's installation is looked for.
    pub releases: Vec<String>,
    /// Whether the cluster has the Gateway API's HTTPRoute.
    pub http_route_api: bool,
    /// Addresses or acceptance of the Ingress or HTTPRoute: `None` when there is no such object yet.
    pub exposure: Option<ExposureState>,
    /// What stands in front of the pods.
    pub front: FrontSeen,
    /// Containers that were ended by their liveness probe.
    pub probe_kills: Vec<ProbeKill>,
    /// How many threads of the API are busy, where its pods' metrics can be read.
    pub busy: Option<ThreadUsage>,
}

impl Observation {
    /// What a migration meets in the database, when that was asked in depth.
    #[must_use]
    pub fn preflight(&self) -> Option<&Preflight> {
        self.preflight
            .as_ref()?
            .as_ref()
            .ok()
            .filter(|preflight| preflight.complete)
    }

    /// Who else migrates the same database at this moment, as a user would look for him.
    #[must_use]
    pub fn other_migrator(&self) -> Option<String> {
        if self.external_migration.is_some() {
            return self.external_migration.clone();
        }
        if let Some(pod) = self.orphan() {
            return Some(format!(
                "pod {} of Job {}, which was deleted while it ran",
                pod.name,
                pod.job.as_deref().unwrap_or("(unknown)"),
            ));
        }
        let session = self.preflight()?.migrators.first()?;
        Some(format!(
            "PostgreSQL session {} of role {} (application {:?}), which changes table {}",
            session.pid, session.role, session.application, session.relation,
        ))
    }

    /// A pod that still migrates although its Job is gone: deleting a Job takes it away at once, and its pods only when
    /// the garbage collector has come and their grace period is over.
    fn orphan(&self) -> Option<&PodSummary> {
        self.pods.iter().find(|pod| {
            pod.component == Component::Migrations.as_str()
                && !matches!(pod.phase.as_str(), "Succeeded" | "Failed")
                && !self.jobs.iter().any(|job| pod.job.as_deref() == Some(&job.name))
        })
    }

    /// Whether no pod is in trouble and every Deployment is as its newest template says.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let workloads = [&self.api, &self.task_processor, &self.frontend];
        self.pods.iter().all(|pod| pod.problems.is_empty())
            && workloads.into_iter().flatten().all(WorkloadState::rolled_out)
    }

    /// Whether this installation has ever started pods that read its Secrets.
    #[must_use]
    pub const fn has_run(&self) -> bool {
        self.api.is_some() || self.task_processor.is_some()
    }

    /// The newest release that the database was migrated to, by everything that tells: annotations of the
    /// Deployments, the status, and complete Jobs whose result is not recorded yet.
    #[must_use]
    pub fn newest_migrated(&self) -> Option<Release> {
        let annotated = [&self.api, &self.task_processor]
            .into_iter()
            .flatten()
            .filter_map(|workload| workload.migrated);
        let applied = |record: &&MigrationStatus| record.result == MigrationResult::Applied;
        let recorded = self
            .previous
            .migration
            .iter()
            .filter(applied)
            .chain(self.previous.migration_history.iter().find(applied))
            .filter_map(|record| record.version.parse().ok());
        let complete = self
            .jobs
            .iter()
            .filter(|job| job.outcome == JobOutcome::Complete)
            .filter_map(|job| job.release);
        annotated.chain(recorded).chain(complete).max()
    }
}

/// One run of a container that migrates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratorRun {
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its exit status.
    pub exit_code: Option<i32>,
}

impl fmt::Display for MigratorRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pod,
            container,
            started,
            ..
        } = self;
        write!(formatter, "pod {pod}, container {container}: started {started}")?;
        match (self.finished, self.exit_code) {
            (Some(finished), Some(0)) => write!(formatter, ", succeeded {finished}"),
            (Some(finished), Some(code)) => write!(formatter, ", failed {finished} with status {code}"),
            _ => write!(formatter, ", running"),
        }
    }
}

/// What a proxy made of the Ingress or HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExposureState {
    /// It has an address, or a Gateway accepted it.
    Accepted,
    /// No controller has taken it up.
    Waiting,
    /// A Gateway refused it, with its own words.
    Rejected(String),
}

/// The Secrets that an installation refers to.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Where `DATABASE_URL` of the running components points.
    pub database: SecretState<DatabaseIdentity>,
    /// Where `DATABASE_URL` of the migration Job points.
    pub migration_database: SecretState<DatabaseIdentity>,
    /// Where `TASK_PROCESSOR_DATABASE_URL` points, where a separate database holds the tasks.
    pub task_processor_database: Option<SecretState<DatabaseIdentity>>,
    /// The same of the task processor's own environment; `None` where it is the API's.
    pub of_processor: Option<ProcessorDatabases>,
    /// Django's secret key.
    pub django: SecretState<()>,
    /// A keyed hash of everything that pods read from Secrets at their start; `None` while a value is missing.
    pub hash: Option<String>,
}

/// Where a task processor's own environment points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorDatabases {
    /// `DATABASE_URL`.
    pub database: SecretState<DatabaseIdentity>,
    /// `TASK_PROCESSOR_DATABASE_URL`, where it has one.
    pub task_processor_database: Option<SecretState<DatabaseIdentity>>,
}

/// One key of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState<T> {
    /// It is there and makes sense.
    Present(T),
    /// There is no such Secret.
    Missing,
    /// The Secret has no such key.
    KeyMissing {
        /// The keys that it has.
        keys: Vec<String>,
    },
    /// The value cannot be used; why, without the value.
    Unusable(String),
    /// The API server did not let the operator read it.
    Unreadable(String),
    /// Nobody looked: it is not known where it is, or it is somebody else's and no probe needs it.
    Unread,
}

impl<T> SecretState<T> {
    /// The same state of something else.
    pub fn map<U>(&self, with: impl FnOnce(&T) -> U) -> SecretState<U> {
        match self {
            Self::Present(value) => SecretState::Present(with(value)),
            Self::Missing => SecretState::Missing,
            Self::KeyMissing { keys } => SecretState::KeyMissing { keys: keys.clone() },
            Self::Unusable(why) => SecretState::Unusable(why.clone()),
            Self::Unreadable(why) => SecretState::Unreadable(why.clone()),
            Self::Unread => SecretState::Unread,
        }
    }
}

impl Secrets {
    /// Of an installation whose Secrets nobody looked at.
    #[must_use]
    pub const fn unread() -> Self {
        Self {
            database: SecretState::Unread,
            migration_database: SecretState::Unread,
            task_processor_database: None,
            of_processor: None,
            django: SecretState::Unread,
            hash: Some(String::new()),
        }
    }
}

/// A pod, as far as diagnosis needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSummary {
    /// Its name.
    pub name: String,
    /// The component label.
    pub component: String,
    /// The Job that it belongs to.
    pub job: Option<String>,
    /// The release label.
    pub version: Option<String>,
    /// Running, Pending, Succeeded, Failed, Unknown.
    pub phase: String,
    /// The Ready condition.
    pub ready: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// Its address.
    pub address: Option<IpAddr>,
    /// When its first container was started last; `None` while it does not run.
    pub started: Option<Timestamp>,
    /// Its containers, those that initialise it first.
    pub containers: Vec<ContainerRun>,
    /// What keeps it from running well.
    pub problems: Vec<PodProblem>,
    /// The migrations that it found to do before it began.
    pub pending: Option<Pending>,
}

/// What a migration pod found to do: Django's plan, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many migrations.
    pub count: i32,
    /// The first of them, as `app.name`; as many as a termination message holds.
    pub names: Vec<String>,
}

impl PodSummary {
    /// Whether a container cannot be created because something that it refers to is not there.
    #[must_use]
    pub fn misses_something(&self) -> bool {
        self.problems.iter().any(
            |problem| matches!(problem, PodProblem::Waiting { reason, .. } if reason == PodProblem::CONFIG_ERROR),
        )
    }

    /// Whether it runs without being ready.
    #[must_use]
    pub fn starting(&self) -> bool {
        !self.ready && self.phase == "Running"
    }
}

/// One container of a pod as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRun {
    /// Its name.
    pub name: String,
    /// It initialises the pod.
    pub init: bool,
    /// How often it was started again.
    pub restarts: i32,
    /// Since when it runs; `None` when it does not.
    pub running_since: Option<Timestamp>,
    /// The end of its last run, where that was an error.
    pub failed: Option<Timestamp>,
    /// It is ready, or has done its work.
    pub ready: bool,
}

/// What keeps a pod from running well, read from its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PodProblem {
    /// No node takes it.
    Unschedulable {
        /// The scheduler's words.
        message: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// A container waits: `ImagePullBackOff`, `ErrImagePull`, `CreateContainerConfigError`, …
    Waiting {
        /// The reason.
        reason: String,
        /// The kubelet's words.
        message: String,
        /// The image.
        image: String,
    },
    /// A container has ended and is started again and again.
    CrashLoop {
        /// How often it was started again.
        restarts: i32,
        /// Exit status of the last run.
        exit_code: Option<i32>,
        /// Reason of the last end, for example `OOMKilled`.
        reason: Option<String>,
        /// Its last words (the termination message).
        message: Option<String>,
    },
    /// A container that is not started again has ended with an error.
    Failed {
        /// Exit status.
        exit_code: i32,
        /// Reason of the end.
        reason: Option<String>,
        /// Its last words (the termination message).
        message: Option<String>,
    },
    /// A container ended for lack of memory, now or the last time.
    OutOfMemory {
        /// How often it was started again.
        restarts: i32,
        /// The memory limit.
        limit: Option<String>,
    },
}

impl PodProblem {
    /// The waiting reason of a container whose configuration cannot be put together.
    pub const CONFIG_ERROR: &str = "CreateContainerConfigError";
}
