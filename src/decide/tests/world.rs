//! A small model of what surrounds the decisions: what is applied, what Kubernetes makes of it, what users do,
//! and what is true of the databases. Every write is checked against the invariants when it happens.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{FlagsmithDeploymentStatus, MigrationResult, MigrationStatus},
    decide::{Gate, MigrationKey, Plan, Workload, decide},
    diagnose::{Code, Component, Diagnosis, Severity},
    fixtures,
    flagsmith::Release,
    observe::{JobOutcome, JobState, Observation, PodProblem, PodSummary, SecretState, WorkloadState},
    validate::{DatabaseIdentity, Installation},
};

pub(super) const VERSIONS: [&str; 3] = ["2.250.0", "2.260.0", "2.265.0"];
const REPOSITORIES: [&str; 2] = ["docker.io/flagsmith/flagsmith-api", "registry.example.com/api"];

/// What the user wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) version: usize,
    pub(super) repository: usize,
    pub(super) database: usize,
    pub(super) processors: i32,
    pub(super) frontend: bool,
    pub(super) retry: u32,
    pub(super) allow_downgrade: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    pub(super) release: Release,
    pub(super) image: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deployment {
    pub(super) workload: Workload,
    pub(super) replicas: i32,
    migration_key: Option<String>,
    migrated: Option<Release>,
    pub(super) pods: Vec<Pod>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    key: String,
    release: Release,
    pub(super) outcome: JobOutcome,
    deleting: bool,
    /// Its pod has been started; otherwise the image cannot be pulled.
    pub(super) started: bool,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    base: Installation,
    pub(super) wanted: Wanted,
    pub(super) deployments: BTreeMap<&'static str, Deployment>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) status: FlagsmithDeploymentStatus,
    pub(super) foreign: bool,
    pub(super) unreachable: bool,
    pub(super) secret_missing: bool,
    /// Keys of migrations that are really applied.
    applied: BTreeSet<String>,
    /// Keys that a status or an annotation has called applied.
    recorded: BTreeSet<String>,
    /// Failed attempts that the status knows of and that the user has said nothing about.
    settled_failures: BTreeSet<String>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            base: fixtures::installation(&fixtures::minimal()),
            wanted: Wanted {
                version: 0,
                repository: 0,
                database: 0,
                processors: 1,
                frontend: true,
                retry: 0,
                allow_downgrade: false,
            },
            deployments: BTreeMap::new(),
            jobs: BTreeMap::new(),
            status: FlagsmithDeploymentStatus::default(),
            foreign: false,
            unreachable: false,
            secret_missing: false,
            applied: BTreeSet::new(),
            recorded: BTreeSet::new(),
            settled_failures: BTreeSet::new(),
        }
    }

    pub(super) fn installation(&self) -> Installation {
        let wanted = &self.wanted;
        let mut installation = self.base.clone();
        installation.release = VERSIONS[wanted.version].parse().unwrap();
        REPOSITORIES[wanted.repository].clone_into(&mut installation.images.api);
        installation.task_processor.replicas = Some(wanted.processors);
        installation.frontend.enabled = wanted.frontend;
        installation.retry = (wanted.retry > 0).then(|| wanted.retry.to_string());
        installation.allow_downgrade = wanted.allow_downgrade.then_some(installation.release);
        installation
    }

    fn identity(&self) -> DatabaseIdentity {
        DatabaseIdentity {
            host: format!("db{}.prod", self.wanted.database),
            ..fixtures::database()
        }
    }

    fn key(&self) -> MigrationKey {
        let installation = self.installation();
        MigrationKey::new(&installation, installation.release, &self.identity())
    }

    /// The user says something new: what failed before may be tried again.
    pub(super) fn user(&mut self, change: impl FnOnce(&mut Wanted)) {
        let before = self.key();
        let retry = self.wanted.retry;
        change(&mut self.wanted);
        if self.key() != before || self.wanted.retry != retry {
            self.settled_failures.clear();
        }
    }

    pub(super) fn wipe_status(&mut self) {
        self.status = FlagsmithDeploymentStatus::default();
        self.settled_failures.clear();
    }

    pub(super) fn lose_annotations(&mut self) {
        for deployment in self.deployments.values_mut() {
            deployment.migration_key = None;
            deployment.migrated = None;
        }
    }

    pub(super) fn active_job(&mut self) -> Option<(&String, &mut Job)> {
        self.jobs
            .iter_mut()
            .find(|(_, job)| job.outcome == JobOutcome::Active)
    }

    pub(super) fn finish_job(&mut self, outcome: JobOutcome) {
        let mut applied = None;
        if let Some((_, job)) = self.active_job()
            && job.started
            && !job.deleting
        {
            applied = (outcome == JobOutcome::Complete).then(|| job.key.clone());
            job.outcome = outcome;
        }
        self.applied.extend(applied);
    }

    /// Kubernetes ends Jobs that are being deleted.
    pub(super) fn collect_jobs(&mut self) {
        self.jobs.retain(|_, job| !job.deleting);
    }

    /// Kubernetes exchanges at most one pod of each Deployment (a task processor's old pods all end first).
    pub(super) fn roll(&mut self) {
        let migrating = self.active_job().is_some();
        for (component, deployment) in &mut self.deployments {
            let wanted = Pod {
                release: deployment.workload.release,
                image: deployment.workload.image.clone(),
            };
            let count = usize::try_from(deployment.replicas).unwrap();
            let old = deployment.pods.iter().position(|pod| *pod != wanted);
            if *component == "task-processor" && old.is_some() {
                deployment.pods.retain(|pod| *pod == wanted);
            } else if let Some(old) = old {
                deployment.pods.remove(old);
                deployment.pods.push(wanted);
                deployment.pods.truncate(count);
            } else if deployment.pods.len() > count {
                deployment.pods.truncate(count);
            } else if deployment.pods.len() < count {
                assert!(
                    !(migrating && *component == "task-processor"),
                    "a processor starts during a migration"
                );
                deployment.pods.push(wanted);
            }
        }
        let pods = |component: &str| {
            self.deployments
                .get(component)
                .into_iter()
                .flat_map(|it| &it.pods)
        };
        for processor in pods("task-processor") {
            for api in pods("api") {
                assert!(
                    api.release <= processor.release,
                    "an API ahead of the task processor"
                );
            }
        }
    }

    fn observe(&self) -> Observation {
        let mut seen = fixtures::observation();
        let workload = |component: &str| {
            self.deployments.get(component).map(|deployment| {
                let current = |pod: &&Pod| {
                    pod.image == deployment.workload.image && pod.release == deployment.workload.release
                };
                let count = i32::try_from(deployment.pods.len()).unwrap();
                let updated = i32::try_from(deployment.pods.iter().filter(current).count()).unwrap();
                WorkloadState {
                    name: format!("flagsmith-{component}"),
                    release: Some(deployment.workload.release),
                    image: Some(deployment.workload.image.clone()),
                    migration_key: deployment.migration_key.clone(),
                    migrated: deployment.migrated,
                    secret_hash: deployment.workload.secret_hash.clone(),
                    desired: deployment.replicas,
                    replicas: count,
                    updated,
                    ready: count,
                    available: count,
                    observed: true,
                    ..WorkloadState::default()
                }
            })
        };
        seen.previous = self.status.clone();
        seen.api = workload("api");
        seen.task_processor = workload("task-processor");
        seen.frontend = workload("frontend");
        seen.jobs = self.jobs.iter().map(|(name, job)| job.state(name)).collect();
        seen.foreign_migration = self.foreign.then(|| "elsewhere/flagsmith-migrate-1".to_owned());
        seen.secrets.migration_database = if self.secret_missing {
            SecretState::Missing
        } else {
            SecretState::Present(self.identity())
        };
        seen.pods = self
            .deployments
            .iter()
            .flat_map(|(component, deployment)| {
                deployment
                    .pods
                    .iter()
                    .map(move |pod| summary(component, pod.release, true))
            })
            .chain(
                self.jobs
                    .values()
                    .filter(|job| job.outcome == JobOutcome::Active)
                    .map(|job| summary("migrations", job.release, job.started)),
            )
            .collect();
        seen
    }

    fn diagnose(&self, seen: &Observation) -> Vec<Diagnosis> {
        let installation = self.installation();
        let wanted = installation.release;
        let downgrade = seen.newest_migrated().is_some_and(|newest| newest > wanted)
            && installation.allow_downgrade != Some(wanted);
        [
            (self.secret_missing, Code::DatabaseSecretMissing),
            (self.unreachable, Code::DatabaseUnreachable),
            (downgrade, Code::DowngradeBlocked),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, code)| Diagnosis {
            code,
            severity: Severity::Critical,
            component: Component::Migrations,
            message: String::new(),
            evidence: Vec::new(),
            remedy: String::new(),
        })
        .collect()
    }

    pub(super) fn plan(&self) -> Plan {
        let seen = self.observe();
        decide(&self.installation(), &seen, &self.diagnose(&seen))
    }

    /// One pass of the operator that ends after so many writes. Returns whether it wrote all.
    pub(super) fn pass(&mut self, writes: usize) -> bool {
        let plan = self.plan();
        let mut budget = writes;
        let mut spend = || {
            let left = budget > 0;
            budget = budget.saturating_sub(1);
            left
        };
        for name in &plan.superseded_jobs {
            if !spend() {
                return false;
            }
            let job = self.jobs.get_mut(name).unwrap();
            assert!(
                job.outcome != JobOutcome::Active || !job.started,
                "a running migration is deleted"
            );
            job.deleting = true;
        }
        if plan.migrate.is_some() {
            if !spend() {
                return false;
            }
            self.create_job(&plan);
        }
        let components = [
            ("api", &plan.api),
            ("frontend", &plan.frontend),
            ("task-processor", &plan.task_processor),
        ];
        for (component, workload) in components {
            if let Some(workload) = workload {
                if !spend() {
                    return false;
                }
                self.apply(component, workload, &plan);
            } else if component == "frontend" && !self.wanted.frontend {
                self.deployments.remove(component);
            }
        }
        if !spend() {
            return false;
        }
        self.report(&plan);
        true
    }

    fn create_job(&mut self, plan: &Plan) {
        let migrate = plan.migrate.as_ref().unwrap();
        assert!(self.active_job().is_none(), "two active migrations");
        assert!(!self.foreign, "a migration beside that of another installation");
        assert!(
            !self.jobs.contains_key(&migrate.name),
            "a Job of that name exists"
        );
        assert!(
            !self.settled_failures.contains(&migrate.name),
            "a failed migration runs again"
        );
        assert_eq!(migrate.release, self.installation().release, "a rollback");
        let processors = self.deployments.get("task-processor");
        assert!(
            processors.is_none_or(|it| it.pods.is_empty() && it.replicas == 0),
            "a processor runs when a migration starts"
        );
        self.jobs.insert(
            migrate.name.clone(),
            Job {
                key: migrate.key.to_string(),
                release: migrate.release,
                outcome: JobOutcome::Active,
                deleting: false,
                started: false,
            },
        );
    }

    fn apply(&mut self, component: &'static str, workload: &Workload, plan: &Plan) {
        let before = self.deployments.get(component);
        if component == "frontend" {
            assert!(
                before.is_some_and(|it| it.workload.image == workload.image)
                    || self.deployments.contains_key("api")
                    || plan.gate == Gate::Succeeded,
                "a frontend before the migration"
            );
        } else if before.is_none_or(|it| it.workload.image != workload.image) {
            let sibling = self
                .deployments
                .iter()
                .any(|(name, it)| *name != component && it.workload.image == workload.image);
            if before.is_some() || !sibling {
                let key = self.key().to_string();
                assert_eq!(
                    workload.image,
                    self.installation().api_image(self.installation().release)
                );
                assert!(
                    self.recorded.contains(&key),
                    "{component} rolls before the migration is recorded"
                );
                assert!(
                    self.applied.contains(&key),
                    "{component} rolls before the migration is applied"
                );
            }
        }
        let deployment = self.deployments.entry(component).or_insert_with(|| Deployment {
            workload: workload.clone(),
            replicas: 1,
            migration_key: None,
            migrated: None,
            pods: Vec::new(),
        });
        deployment.workload = workload.clone();
        deployment.replicas = workload.replicas.unwrap_or(deployment.replicas);
        deployment.migration_key = plan.migrated.as_ref().map(|it| it.key.clone());
        deployment.migrated = plan.migrated.as_ref().map(|it| it.release);
        self.recorded.extend(deployment.migration_key.clone());
    }

    /// The status as it is written: what is known of the last migration stays while the database is not.
    fn report(&mut self, plan: &Plan) {
        let Some(key) = &plan.key else { return };
        let known = self
            .status
            .migration
            .clone()
            .filter(|it| it.key.as_deref() == Some(key.as_str()));
        let (result, job) = match &plan.gate {
            Gate::Blocked(_) => (MigrationResult::Blocked, None),
            Gate::Pending => (MigrationResult::Pending, None),
            Gate::Running(job) => (MigrationResult::Running, Some(job.name.clone())),
            Gate::Unrecorded(job) => (MigrationResult::Applied, Some(job.name.clone())),
            Gate::Succeeded => (MigrationResult::Applied, known.and_then(|it| it.job)),
            Gate::Failed { job, .. } => (MigrationResult::Failed, Some(job.clone())),
        };
        if result == MigrationResult::Failed {
            self.settled_failures.extend(job.clone());
        }
        if result == MigrationResult::Applied {
            self.recorded.insert(key.to_string());
        }
        self.status.migration = Some(MigrationStatus {
            key: Some(key.to_string()),
            version: self.installation().release.to_string(),
            result,
            job,
            ..MigrationStatus::default()
        });
        if plan.gate == Gate::Succeeded && self.wanted.allow_downgrade {
            self.schema_is_rolled_back();
        }
    }

    /// The user has undone the newer migrations, as the remedy of `DowngradeBlocked` says: they must run again.
    fn schema_is_rolled_back(&mut self) {
        let identity = self.identity();
        let mut installation = self.installation();
        for version in VERSIONS.iter().skip(self.wanted.version + 1) {
            for repository in REPOSITORIES {
                repository.clone_into(&mut installation.images.api);
                let key = MigrationKey::new(&installation, version.parse().unwrap(), &identity).to_string();
                self.applied.remove(&key);
                self.recorded.remove(&key);
            }
        }
    }
}

impl Job {
    fn state(&self, name: &str) -> JobState {
        JobState {
            name: name.to_owned(),
            key: Some(self.key.clone()),
            release: Some(self.release),
            outcome: self.outcome.clone(),
            started: None,
            finished: None,
            deleting: self.deleting,
        }
    }
}

fn summary(component: &str, release: Release, started: bool) -> PodSummary {
    PodSummary {
        name: format!("flagsmith-{component}-x"),
        component: component.to_owned(),
        version: Some(release.to_string()),
        phase: if started { "Running" } else { "Pending" }.to_owned(),
        ready: started,
        terminating: false,
        started: None,
        problems: if started {
            Vec::new()
        } else {
            vec![PodProblem::Waiting {
                reason: "ImagePullBackOff".to_owned(),
                message: String::new(),
                image: String::new(),
            }]
        },
    }
}
