//! What was seen of one installation in one pass: plain data, without any secret value.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    database::{
        Comparison, Queues,
        preflight::Preflight,
        probe::{DatabaseProbe, ProbeFailure},
    },
    exposure::ExposureState,
    front::FrontSeen,
    job::{JobOutcome, JobState},
    kills::ProbeKill,
    looks::Look,
    migrator_run::MigratorRun,
    pod::PodSummary,
    pod_logs::PodLogFindings,
    secrets::state::Secrets,
    thread_usage::ThreadUsage,
    workload::WorkloadState,
};
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationOperation, MigrationResult, MigrationStatus},
    flagsmith::Release,
    model::Component,
    validate::{Entrance, Installation},
};

/// After this time a database that works has been looked at, also for the first time: whoever waits so long writes one
/// status less.
const LOOKED_AFTER: Duration = Duration::from_secs(1);

/// How long a status is kept that knows more than the operator does: by then a thousand databases have been looked at
/// after a restart, and other troubles have waited long enough for theirs.
const KEPT: Duration = Duration::from_mins(1);

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
    /// The edge proxy's Deployment.
    pub edge_proxy: Option<WorkloadState>,
    /// The embedded database's `StatefulSet`.
    pub embedded_database: Option<WorkloadState>,
    /// Migration Jobs of this installation.
    pub jobs: Vec<JobState>,
    /// The label by which migrations of the migration database find each other; `None` while its URL is not known.
    pub migration_lock: Option<String>,
    /// Another migrator on the same database: a Job of another installation, or a pod that is not the operator's.
    pub external_migration: Option<String>,
    /// Pods of this installation.
    pub pods: Vec<PodSummary>,
    /// What was read of their logs and Events.
    pub pod_logs: PodLogFindings,
    /// The Secrets that the installation refers to.
    pub secrets: Secrets,
    /// How what is said of the databases here stands to what was asked of them.
    pub look: Look,
    /// What a connection to the database gave.
    pub database: DatabaseProbe,
    /// What the task tables show.
    pub queues: Queues,
    /// What a migration meets there, asked with its own credentials; `None` when there was nobody to ask.
    pub preflight: Option<Result<Preflight, ProbeFailure>>,
    /// Whether the migrations' URL leads to the database of the pods; `None` where that is plain, or none is due.
    pub migration_database: Option<Comparison>,
    /// Jobs that make a backup before a migration.
    pub backups: Vec<JobState>,
    /// Jobs that have the images of a migration pulled before anything is stopped for it.
    pub pulls: Vec<JobState>,
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
    /// Whether the cluster has the Prometheus operator's `PodMonitor`.
    pub pod_monitor_api: bool,
    /// Addresses or acceptance of the Ingress or HTTPRoute: `None` when there is no such object yet.
    pub exposure: Option<ExposureState>,
    /// What stands in front of the pods.
    pub front: FrontSeen,
    /// How the API's own Ingress or HTTPRoute stands, where the dashboard has another.
    pub api_exposure: Option<ExposureState>,
    /// What stands in front of the API there.
    pub api_front: FrontSeen,
    /// How the edge proxy's Ingress or HTTPRoute stands.
    pub edge_exposure: Option<ExposureState>,
    /// What stands in front of the edge proxy there.
    pub edge_front: FrontSeen,
    /// Containers that were ended by their liveness probe.
    pub probe_kills: Vec<ProbeKill>,
    /// How many threads of the API are busy, where its pods' metrics can be read.
    pub busy: Option<ThreadUsage>,
}

impl Observation {
    /// Of an installation of which nothing has been looked at yet.
    #[must_use]
    pub fn unseen(previous: FlagsmithDeploymentStatus, now: Timestamp) -> Self {
        Self {
            now,
            previous,
            api: None,
            task_processor: None,
            frontend: None,
            edge_proxy: None,
            embedded_database: None,
            jobs: Vec::new(),
            migration_lock: None,
            external_migration: None,
            pods: Vec::new(),
            pod_logs: PodLogFindings::default(),
            secrets: Secrets::unread(),
            look: Look::Fresh,
            database: DatabaseProbe::NotProbed,
            queues: Queues::default(),
            preflight: None,
            migration_database: None,
            backups: Vec::new(),
            pulls: Vec::new(),
            external_autoscalers: BTreeSet::new(),
            migrators: Vec::new(),
            release_assumed: false,
            services: Vec::new(),
            releases: Vec::new(),
            http_route_api: false,
            pod_monitor_api: false,
            exposure: None,
            front: FrontSeen::default(),
            api_exposure: None,
            api_front: FrontSeen::default(),
            edge_exposure: None,
            edge_front: FrontSeen::default(),
            probe_kills: Vec::new(),
            busy: None,
        }
    }

    /// Every entrance that is wanted, and how it stands.
    pub fn entrances<'a>(
        &'a self,
        installation: &'a Installation,
    ) -> impl Iterator<Item = (&'a Entrance, Option<&'a ExposureState>)> {
        let all = [
            (&installation.exposure, &self.exposure),
            (&installation.api_exposure, &self.api_exposure),
            (&installation.edge_exposure, &self.edge_exposure),
        ];
        all.into_iter().filter_map(|(entrance, state)| Some((entrance.as_ref()?, state.as_ref())))
    }

    /// What a migration meets in the database, when that was asked in depth.
    #[must_use]
    pub fn preflight(&self) -> Option<&Preflight> {
        self.preflight.as_ref()?.as_ref().ok().filter(|preflight| preflight.complete)
    }

    /// Why the look of the role that migrates failed, where the operator reaches the server and another look may succeed: a
    /// server whose connections are used up has one at one moment and none at the next.
    #[must_use]
    pub fn missed_preflight(&self) -> Option<&ProbeFailure> {
        let failure = self.preflight.as_ref()?.as_ref().err()?;
        let lets_in = matches!(self.database, DatabaseProbe::Reachable { .. });
        (lets_in && failure.kind.is_of_the_moment()).then_some(failure)
    }

    /// Whether a migration Job of this installation runs.
    #[must_use]
    pub fn is_migrating(&self) -> bool {
        self.jobs.iter().any(|job| job.outcome == JobOutcome::Active)
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
        let since = session.since().map(|since| format!(", since {since:.0}"));
        Some(format!(
            "PostgreSQL session {} of role {} (application {:?}), which changes table {}{}",
            session.pid,
            session.role,
            session.application,
            session.relation,
            since.unwrap_or_default(),
        ))
    }

    /// How long it is too early to say how this installation is: its databases were never looked at, as after a restart
    /// of the operator, and the last status is better for a while than one that forgets what it said of them. Somebody who
    /// has changed the specification hears soon that his change was seen, whatever his database does.
    #[must_use]
    pub fn premature_for(&self, generation: i64) -> Option<Duration> {
        let Look::Pending(since) = self.look else {
            return None;
        };
        let known = self.previous.observed_generation == Some(generation);
        let left = if known { KEPT } else { LOOKED_AFTER }.saturating_sub(since);
        (!left.is_zero()).then_some(left)
    }

    /// A pod that still migrates although its Job is gone: deleting a Job takes it away at once, and its pods only when
    /// the garbage collector has come and their grace period is over.
    fn orphan(&self) -> Option<&PodSummary> {
        self.pods.iter().find(|pod| {
            pod.component == Some(Component::Migrations)
                && pod.on_database
                && !pod.phase.has_ended()
                && !self.jobs.iter().any(|job| pod.job.as_deref() == Some(&job.name))
        })
    }

    /// Whether no pod is in trouble and every Deployment is as its newest template says.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let workloads = [&self.api, &self.task_processor, &self.frontend, &self.edge_proxy];
        self.pods.iter().all(|pod| pod.problems.is_empty())
            && workloads.into_iter().flatten().all(WorkloadState::rolled_out)
    }

    /// Whether this installation has ever started pods that read its Secrets.
    #[must_use]
    pub const fn has_run(&self) -> bool {
        self.api.is_some() || self.task_processor.is_some()
    }

    /// The oldest release of the API that serves, or is to: of its template, and of pods that are not told to end.
    #[must_use]
    pub fn oldest_api(&self) -> Option<Release> {
        let serves = |pod: &&PodSummary| {
            pod.component == Some(Component::Api) && !pod.terminating && !pod.phase.has_ended()
        };
        let pods = self.pods.iter().filter(serves).filter_map(|pod| pod.version.as_ref()?.parse().ok());
        self.api.as_ref().and_then(|api| api.release).into_iter().chain(pods).min()
    }

    /// The newest release that the database was migrated to, by everything that tells: annotations of the
    /// Deployments, the status, and complete Jobs whose result is not recorded yet.
    #[must_use]
    pub fn newest_migrated(&self) -> Option<Release> {
        let complete =
            self.jobs.iter().filter(|job| job.outcome == JobOutcome::Complete).filter_map(|job| job.release);
        self.newest_recorded().into_iter().chain(complete).max()
    }

    /// The restore after which nothing was migrated: its backup says what the database is at, whatever was recorded before.
    #[must_use]
    pub fn restored(&self) -> Option<&MigrationStatus> {
        let mut history = self.previous.migration_history.iter();
        let last = history.find(|record| record.result == MigrationResult::Applied);
        last.filter(|record| record.operation == MigrationOperation::Restore)
    }

    /// Whether a release is newer than the one that the database was brought to last: upwards, back, or by a backup.
    #[must_use]
    pub fn is_ahead_of_database(&self, release: Release) -> bool {
        let mut history = self.previous.migration_history.iter();
        let last = history.find(|record| record.result == MigrationResult::Applied);
        last.and_then(|record| record.version.parse::<Release>().ok()).is_some_and(|at| at < release)
    }

    /// The same as [`Self::newest_migrated`], by what is written down.
    #[must_use]
    pub fn newest_recorded(&self) -> Option<Release> {
        if let Some(restored) = self.restored() {
            return restored.version.parse().ok();
        }
        let annotated =
            [&self.api, &self.task_processor].into_iter().flatten().filter_map(|workload| workload.migrated);
        let applied = |record: &&MigrationStatus| record.result == MigrationResult::Applied;
        let recorded = self
            .previous
            .migration
            .iter()
            .filter(applied)
            .chain(self.previous.migration_history.iter().find(applied))
            .filter_map(|record| record.version.parse().ok());
        annotated.chain(recorded).max()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What was told of generation 1 is told again for the same generation when something is known, or nothing for long.
    #[rstest]
    #[case::known(Look::Fresh, 1, None)]
    #[case::known_from_before(Look::Stale, 1, None)]
    #[case::asked_a_moment_ago(Look::Pending(Duration::from_millis(990)), 2, Some(Duration::from_millis(10)))]
    #[case::asked_a_while_ago(Look::Pending(LOOKED_AFTER), 2, None)]
    #[case::asked_long_ago(Look::Pending(Duration::from_mins(5)), 2, None)]
    #[case::told_before(Look::Pending(Duration::from_secs(59)), 1, Some(Duration::from_secs(1)))]
    #[case::told_long_before(Look::Pending(Duration::from_mins(5)), 1, None)]
    fn premature(#[case] look: Look, #[case] generation: i64, #[case] expected: Option<Duration>) {
        let previous = FlagsmithDeploymentStatus {
            observed_generation: Some(1),
            ..FlagsmithDeploymentStatus::default()
        };
        let observation = Observation { look, ..Observation::unseen(previous, Timestamp::UNIX_EPOCH) };
        assert_eq!(observation.premature_for(generation), expected);
    }
}
