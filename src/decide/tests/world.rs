//! A small model of what surrounds the decisions: what is applied, what Kubernetes makes of it, what users do,
//! and what is true of the databases. Every write is checked against the invariants when it happens.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    api::{FlagsmithDeploymentStatus, MigrationOperation, MigrationResult},
    decide::{Direction, Gate, MigrationKey, Plan, Workload, backup_name, decide, direction},
    diagnose::{Code, Component, Diagnosis, Severity},
    fixtures,
    flagsmith::Release,
    observe::{
        JobOutcome, JobState, Observation, Pending, PodProblem, PodSummary, SecretState, WorkloadState,
    },
    report::{self, migration},
    validate::{DatabaseIdentity, Installation, Rollback},
};

pub(super) const VERSIONS: [&str; 3] = ["2.250.0", "2.260.0", "2.265.0"];
/// How many migrations each of them has: the last one brings none.
const LEVELS: [i32; 3] = [10, 12, 12];
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
    /// A confirmation: the release to undo, and whether the user gives the moment himself.
    pub(super) rollback: Option<(Release, bool)>,
    pub(super) backup: bool,
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
    from: Option<Release>,
    /// What it undoes, when it does not apply.
    undoes: Option<Release>,
    /// When it was made; the clock of this world ticks at each Job.
    made: i64,
    /// Migrations that it found to do.
    pending: i32,
    pub(super) outcome: JobOutcome,
    deleting: bool,
    /// Its pod has been started; otherwise the image cannot be pulled.
    pub(super) started: bool,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble of its own")]
pub(super) struct World {
    base: Installation,
    pub(super) wanted: Wanted,
    pub(super) deployments: BTreeMap<&'static str, Deployment>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) backups: BTreeMap<String, JobOutcome>,
    pub(super) status: FlagsmithDeploymentStatus,
    pub(super) foreign: bool,
    pub(super) unreachable: bool,
    pub(super) secret_missing: bool,
    clock: i64,
    /// How many migrations are applied in each database.
    levels: [i32; 2],
    /// Records were lost, or the database was exchanged: nobody can know any more how new it is.
    pub(super) forgotten: bool,
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
                rollback: None,
                backup: false,
            },
            deployments: BTreeMap::new(),
            jobs: BTreeMap::new(),
            backups: BTreeMap::new(),
            status: FlagsmithDeploymentStatus::default(),
            foreign: false,
            unreachable: false,
            secret_missing: false,
            clock: 0,
            levels: [0, 0],
            forgotten: false,
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
        installation.rollback = wanted
            .rollback
            .filter(|(from, _)| *from > installation.release)
            .map(|(from, given)| Rollback {
                from,
                to: installation.release,
                applied_after: given.then_some(Timestamp::UNIX_EPOCH),
            });
        installation.migrations.backup = wanted.backup.then(fixtures::backup);
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
        MigrationKey::migrate(&installation, installation.release, &self.identity())
    }

    fn level(release: Release) -> i32 {
        let known = VERSIONS.iter().position(|version| version.parse() == Ok(release));
        LEVELS[known.unwrap()]
    }

    /// The user says something new: what failed before may be tried again.
    pub(super) fn user(&mut self, change: impl FnOnce(&mut Wanted)) {
        let before = self.key();
        let (retry, rollback, database) = (self.wanted.retry, self.wanted.rollback, self.wanted.database);
        change(&mut self.wanted);
        if self.key() != before || self.wanted.retry != retry || self.wanted.rollback != rollback {
            self.settled_failures.clear();
        }
        self.forgotten |= self.wanted.database != database;
    }

    pub(super) fn wipe_status(&mut self) {
        self.status = FlagsmithDeploymentStatus::default();
        self.settled_failures.clear();
        self.forgotten = true;
    }

    pub(super) fn lose_annotations(&mut self) {
        for deployment in self.deployments.values_mut() {
            deployment.migration_key = None;
            deployment.migrated = None;
        }
        self.forgotten = true;
    }

    pub(super) fn active_job(&mut self) -> Option<(&String, &mut Job)> {
        self.jobs
            .iter_mut()
            .find(|(_, job)| job.outcome == JobOutcome::Active)
    }

    pub(super) fn finish_job(&mut self, outcome: JobOutcome) {
        let mut done = None;
        if let Some((_, job)) = self.active_job()
            && job.started
            && !job.deleting
        {
            done = (outcome == JobOutcome::Complete).then(|| job.clone());
            job.outcome = outcome;
        }
        let Some(job) = done else { return };
        let level = &mut self.levels[self.wanted.database];
        if job.undoes.is_some() {
            *level = Self::level(job.release).min(*level);
            self.forget_newer(job.release);
        } else {
            *level = Self::level(job.release).max(*level);
            self.applied.insert(job.key);
        }
    }

    /// What newer releases brought is undone: their migrations must run again, whatever was recorded.
    fn forget_newer(&mut self, than: Release) {
        let identity = self.identity();
        let mut installation = self.installation();
        for version in VERSIONS.iter().filter_map(|version| version.parse().ok()) {
            for repository in REPOSITORIES.iter().filter(|_| version > than) {
                (*repository).clone_into(&mut installation.images.api);
                let key = MigrationKey::migrate(&installation, version, &identity).to_string();
                self.applied.remove(&key);
                self.recorded.remove(&key);
            }
        }
    }

    pub(super) fn finish_backup(&mut self, outcome: &JobOutcome) {
        for backup in self.backups.values_mut() {
            if *backup == JobOutcome::Active {
                *backup = outcome.clone();
            }
        }
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
        seen.backups = self
            .backups
            .iter()
            .map(|(name, outcome)| JobState {
                name: name.clone(),
                outcome: outcome.clone(),
                ..JobState::default()
            })
            .collect();
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
                    .iter()
                    .filter(|(_, job)| job.outcome == JobOutcome::Active)
                    .map(|(name, job)| PodSummary {
                        job: Some(name.clone()),
                        pending: job.started.then(|| Pending {
                            count: job.pending,
                            names: Vec::new(),
                        }),
                        ..summary("migrations", job.release, job.started)
                    }),
            )
            .collect();
        seen
    }

    fn diagnose(&self, seen: &Observation) -> Vec<Diagnosis> {
        let installation = self.installation();
        let downgrade = matches!(direction(&installation, seen), Direction::Blocked(_));
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

    /// What the user reads in the diagnosis of a blocked downgrade.
    pub(super) fn direction(&self) -> Direction {
        direction(&self.installation(), &self.observe())
    }

    /// One pass of the operator that ends after so many writes. Returns whether it wrote all.
    pub(super) fn pass(&mut self, writes: usize) -> bool {
        let seen = self.observe();
        let plan = decide(&self.installation(), &seen, &self.diagnose(&seen));
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
        if let Some(backup) = &plan.backup {
            if !spend() {
                return false;
            }
            assert!(self.active_job().is_none(), "a backup beside a migration");
            let before = self.backups.insert(backup.name.clone(), JobOutcome::Active);
            assert_eq!(before, None, "a backup is made twice");
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
        self.report(&plan, &seen);
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
        assert_eq!(
            migrate.release,
            self.installation().release,
            "to another release than the wanted one"
        );
        if let Some(rollback) = &migrate.rollback {
            let confirmed = self.installation().rollback;
            assert!(
                confirmed.is_some_and(|it| (it.from, it.to) == (rollback.from, rollback.to)),
                "a rollback that nobody confirmed"
            );
            let proof = |job: &Job| job.undoes.is_none() && job.outcome == JobOutcome::Complete;
            assert!(
                !self.jobs.values().any(proof),
                "a Job still proves what is undone"
            );
            let stale = |it: &Deployment| {
                it.migration_key
                    .as_ref()
                    .is_some_and(|key| self.recorded.contains(key))
            };
            assert!(
                !["api", "task-processor"]
                    .iter()
                    .filter_map(|name| self.deployments.get(name))
                    .any(stale),
                "an annotation still proves what is undone"
            );
        }
        if self.wanted.backup
            && self
                .status
                .migration_history
                .iter()
                .any(|it| it.result == MigrationResult::Applied)
        {
            let name = backup_name(&self.installation(), &migrate.name);
            assert_eq!(
                self.backups.get(&name),
                Some(&JobOutcome::Complete),
                "a migration without its backup"
            );
        }
        let processors = self.deployments.get("task-processor");
        assert!(
            processors.is_none_or(|it| it.pods.is_empty() && it.replicas == 0),
            "a processor runs when a migration starts"
        );
        self.clock += 1;
        self.jobs.insert(
            migrate.name.clone(),
            Job {
                key: migrate.key.to_string(),
                release: migrate.release,
                from: migrate.before.release,
                undoes: migrate.rollback.as_ref().map(|rollback| rollback.from),
                made: self.clock,
                pending: (Self::level(migrate.release) - self.levels[self.wanted.database]).max(0),
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
                let level = self.levels[self.wanted.database];
                assert!(
                    self.forgotten || level <= Self::level(workload.release),
                    "{component} of {} on a newer schema",
                    workload.release
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
        let key = deployment.migration_key.clone();
        self.recorded
            .extend(key.filter(|key| !key.starts_with("undone-by-")));
    }

    /// The status as it is written.
    fn report(&mut self, plan: &Plan, seen: &Observation) {
        let installation = self.installation();
        let context = report::Context {
            installation: &installation,
            seen,
            plan,
            diagnoses: &[],
            complete: true,
        };
        let written = migration::migration(context);
        self.status.migration_history = migration::history(context);
        match written.result {
            MigrationResult::Failed => self.settled_failures.extend(written.job.clone()),
            MigrationResult::Applied if written.operation == MigrationOperation::Migrate => {
                self.recorded.extend(written.key.clone());
            }
            _ => {}
        }
        self.status.migration = Some(written);
    }
}

impl Job {
    fn state(&self, name: &str) -> JobState {
        JobState {
            name: name.to_owned(),
            key: Some(self.key.clone()),
            release: Some(self.release),
            operation: if self.undoes.is_some() {
                MigrationOperation::RollBack
            } else {
                MigrationOperation::Migrate
            },
            from: self.from,
            count_before: None,
            last_applied_before: Timestamp::from_second(self.made).ok(),
            outcome: self.outcome.clone(),
            started: Timestamp::from_second(self.made).ok(),
            finished: Timestamp::from_second(self.made).ok(),
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
        problems: if started {
            Vec::new()
        } else {
            vec![PodProblem::Waiting {
                reason: "ImagePullBackOff".to_owned(),
                message: String::new(),
                image: String::new(),
            }]
        },
        ..PodSummary::default()
    }
}
