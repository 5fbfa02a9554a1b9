//! A small model of what surrounds the decisions: what is applied, what Kubernetes makes of it, what users do,
//! and what is true of the databases. Every write is checked against the invariants when it happens.

mod observation;
mod pass;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::{
    api::{
        Circumstance, FlagsmithDeploymentStatus, MigrationOperation, MigrationResult, MigrationStatus,
        RestoreSpec, UpgradeStrategy,
    },
    decide::{Gate, Plan, Workload, decide},
    fixtures,
    flagsmith::{Release, upgrades},
    migration::{Direction, direction},
    model::{Code, Component, Diagnosis, Severity, child::marks},
    observe::{
        JobOutcome, JobState, Look, Observation, Pending, PodProblem, PodSummary, SecretState, WorkloadState,
        external_migration::external_migration, index::JobSeen,
    },
    postgres::DatabaseIdentity,
    report::{self, migration, restore},
    runtime::lock_key::LockKey,
    validate::{Installation, MigrationKey, RollbackConsent, RollbackPlan, Upgrade, backup_name, pull_name},
};

pub(super) const VERSIONS: [&str; 4] = ["2.250.0", "2.260.0", "2.265.0", "2.266.0"];
/// How many migrations each of them has: one brings none.
const LEVELS: [usize; 4] = [10, 12, 12, 14];
/// The user's own stop, where he has one. Pods of the releases before the one before it do not work on it.
const VIA: &str = "2.265.0";
const REPOSITORIES: [&str; 2] = ["docker.flagsmith.com/flagsmith/flagsmith-api", "registry.example.com/api"];

/// What the user wants.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of its own")]
pub(super) struct Wanted {
    pub(super) version: usize,
    pub(super) repository: usize,
    pub(super) database: usize,
    pub(super) processors: i32,
    pub(super) frontend: bool,
    pub(super) retry: u32,
    /// A confirmation.
    pub(super) rollback: Option<Confirmed>,
    pub(super) backup: bool,
    /// A backup that is to be brought back, by its name.
    pub(super) restore: Option<String>,
    /// The upgrade stops at 2.260.0, which a rule names.
    pub(super) stepwise: bool,
    /// It stops at [`VIA`].
    pub(super) via: bool,
}

/// What the user confirms of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confirmed {
    pub(super) from: Release,
    /// He gives a moment himself: one from which on everything is undone.
    pub(super) given: bool,
    pub(super) undo_first: bool,
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
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(super) struct Job {
    key: String,
    release: Release,
    from: Option<Release>,
    /// After which moment it undoes, when it does not apply.
    undoes: Option<i64>,
    /// What it brings back, when it does that.
    restores: Option<Dumped>,
    /// When the newest migration was applied that it found.
    found: Option<i64>,
    /// No pod may miss a migration while it undoes, nor afterwards.
    seamless: bool,
    /// When it was made; the clock of this world ticks at each Job.
    made: i64,
    /// Migrations that it found to do.
    pending: i32,
    pub(super) outcome: JobOutcome,
    /// What it failed of, where that was something that it was given.
    pub(super) why: Option<Circumstance>,
    given: Given,
    deleting: bool,
    /// Its pod migrates.
    pub(super) started: bool,
    /// Its pod lists what there is to do; before that its image cannot be pulled.
    pub(super) planning: bool,
}

/// What a backup holds: when each migration was applied, and which were there whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dumped {
    schema: Vec<i64>,
    applied: BTreeSet<String>,
}

/// What Jobs are given of the things that they may fail of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) credentials: u32,
    pub(super) memory: u32,
}

/// A failed attempt that the status knows of.
#[derive(Clone, Copy, Debug)]
struct Settled {
    why: Option<Circumstance>,
    given: Given,
}

impl Settled {
    /// Whether the same would come of another attempt.
    fn holds(self, now: Given) -> bool {
        match self.why {
            Some(Circumstance::Credentials) => self.given.credentials == now.credentials,
            Some(Circumstance::MemoryLimit) => self.given.memory == now.memory,
            None => true,
        }
    }
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble of its own")]
pub(super) struct World {
    base: Installation,
    pub(super) wanted: Wanted,
    pub(super) deployments: BTreeMap<&'static str, Deployment>,
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) backups: BTreeMap<String, JobOutcome>,
    /// What those hold that have ended well, and when they did.
    dumped: BTreeMap<String, (i64, Dumped)>,
    /// Which release each of them was made of.
    made_of: BTreeMap<String, Option<Release>>,
    /// Jobs that have images pulled, and whether their containers were started.
    pub(super) pulls: BTreeMap<String, bool>,
    pub(super) status: FlagsmithDeploymentStatus,
    /// A migration of another installation that the operator has started on the same database.
    pub(super) external: bool,
    /// Jobs that somebody has made to look like one.
    pub(super) forged: bool,
    pub(super) unreachable: bool,
    /// The role that migrates gets no connection, although the operator's other looks do.
    pub(super) preflight_missed: bool,
    /// How well the operator knows the database.
    pub(super) look: Look,
    pub(super) secret_missing: bool,
    clock: i64,
    /// When each migration was applied, in each database.
    schemas: [Vec<i64>; 2],
    /// Records were lost, or the database was exchanged: nobody can know any more how new it is.
    pub(super) forgotten: bool,
    /// Keys of migrations that are really applied.
    applied: BTreeSet<String>,
    /// Keys that a status or an annotation has called applied.
    recorded: BTreeSet<String>,
    /// Failed attempts that the status knows of and that the user has said nothing about.
    settled_failures: BTreeMap<String, Settled>,
    /// What a Job that is made now is given.
    pub(super) given: Given,
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
                restore: None,
                stepwise: false,
                via: false,
            },
            deployments: BTreeMap::new(),
            jobs: BTreeMap::new(),
            backups: BTreeMap::new(),
            dumped: BTreeMap::new(),
            made_of: BTreeMap::new(),
            pulls: BTreeMap::new(),
            status: FlagsmithDeploymentStatus::default(),
            external: false,
            forged: false,
            unreachable: false,
            preflight_missed: false,
            look: Look::Fresh,
            secret_missing: false,
            clock: 0,
            schemas: [Vec::new(), Vec::new()],
            forgotten: false,
            applied: BTreeSet::new(),
            recorded: BTreeSet::new(),
            settled_failures: BTreeMap::new(),
            given: Given::default(),
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
            .filter(|confirmed| confirmed.from > installation.release)
            .map(|confirmed| RollbackConsent {
                from: confirmed.from,
                to: installation.release,
                applied_after: confirmed.given.then_some(Timestamp::UNIX_EPOCH),
                undo_first: confirmed.undo_first,
            });
        let memory = Quantity(format!("{}Gi", 1 + self.given.memory));
        let limits = installation.migrations.resources.limits.get_or_insert_default();
        limits.insert("memory".to_owned(), memory);
        installation.migrations.backup = wanted.backup.then(fixtures::backup).map(Box::new);
        installation.migrations.restore = wanted.restore.as_ref().map(|from| RestoreSpec {
            from: from.clone(),
            confirm: self.dumped.get(from).map(|(made, _)| {
                let made = Timestamp::from_second(*made).unwrap();
                format!("{} {made:.0}", self.identity())
            }),
            without_backup: false,
        });
        installation.upgrade = Upgrade {
            strategy: if wanted.stepwise { UpgradeStrategy::Stepwise } else { UpgradeStrategy::Direct },
            via: wanted.via.then(|| VIA.parse().unwrap()).into_iter().collect(),
        };
        installation
    }

    /// The label of the wanted database, which only the operator can compute.
    fn lock(&self) -> String {
        let namespace = &self.base.identity.namespace;
        LockKey::new(b"world").label(&self.identity(), namespace)
    }

    /// Active Jobs of others, as the index shows them.
    fn foreign_jobs(&self) -> Vec<JobSeen> {
        let job = |namespace: &str, label: &str, owner: Option<(&str, &str)>| {
            let owners = owner.map(|(api_version, uid)| {
                serde_json::json!([{
                    "apiVersion": api_version, "kind": "FlagsmithDeployment", "name": "other", "uid": uid,
                    "controller": true,
                }])
            });
            let job = serde_json::from_value(serde_json::json!({
                "metadata": {
                    "name": "flagsmith-migrate-1", "namespace": namespace, "ownerReferences": owners,
                    "labels": { marks::DATABASE: label, marks::MANAGED_BY: marks::OPERATOR },
                },
                "spec": { "suspend": true, "template": {} },
            }));
            JobSeen::from(&job.unwrap())
        };
        let (ours, lock) = ("operator.flagsmith.com/v1alpha1", self.lock());
        // What whoever may make Jobs can write: any label but the one, and the one on Jobs that are nobody's.
        let unkeyed = LockKey::new(b"guessed").label(&self.identity(), &self.base.identity.namespace);
        let forged = [
            job("elsewhere", &unkeyed, Some((ours, "u-2"))),
            job("elsewhere", &lock, None),
            job("elsewhere", &lock, Some(("apps/v1", "u-2"))),
        ];
        let genuine = job("elsewhere", &lock, Some((ours, "u-2")));
        let forged = forged.into_iter().filter(|_| self.forged);
        forged.chain(self.external.then_some(genuine)).collect()
    }

    fn identity(&self) -> DatabaseIdentity {
        DatabaseIdentity { host: format!("db{}.prod", self.wanted.database), ..fixtures::database() }
    }

    fn key(&self) -> MigrationKey {
        let installation = self.installation();
        MigrationKey::migrate(&installation, installation.release, &self.identity())
    }

    fn level(release: Release) -> usize {
        let known = VERSIONS.iter().position(|version| version.parse() == Ok(release));
        LEVELS[known.unwrap()]
    }

    /// How many migrations are applied in the wanted database.
    pub(super) fn applied_now(&self) -> usize {
        self.schemas[self.wanted.database].len()
    }

    /// The user says something new: what failed before may be tried again.
    pub(super) fn user(&mut self, change: impl FnOnce(&mut Wanted)) {
        let before = self.key();
        let asked = |it: &Wanted| (it.retry, it.rollback, it.stepwise, it.via, it.restore.clone());
        let (said, database) = (asked(&self.wanted), self.wanted.database);
        change(&mut self.wanted);
        // Another way to the release begins its last part on another schema.
        if self.key() != before || asked(&self.wanted) != said {
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
        self.jobs.iter_mut().find(|(_, job)| job.outcome == JobOutcome::Active)
    }

    pub(super) fn finish_job(&mut self, outcome: JobOutcome) {
        let mut ended = None;
        if let Some((_, job)) = self.active_job()
            && job.started
            && !job.deleting
        {
            job.outcome = outcome;
            ended = Some(job.clone());
        }
        let Some(job) = ended else { return };
        let whole = job.outcome == JobOutcome::Complete;
        if let Some(dumped) = job.restores {
            // All or nothing.
            if whole {
                self.schemas[self.wanted.database] = dumped.schema;
                self.recorded.retain(|key| dumped.applied.contains(key));
                self.applied = dumped.applied;
            }
            return;
        }
        let schema = &mut self.schemas[self.wanted.database];
        let before = schema.len();
        let after = job.undoes.map_or(Self::level(job.release).max(before), |after| {
            schema.iter().filter(|applied| **applied <= after).count()
        });
        // One that fails has done half of it.
        let reached = if whole { after } else { usize::midpoint(before, after) };
        schema.resize(reached, job.made);
        if job.undoes.is_some() {
            self.forget(job.release, reached);
        } else if whole {
            self.applied.insert(job.key);
        }
        let serving = ["api", "task-processor"].iter().filter_map(|name| self.deployments.get(name));
        for pod in serving.flat_map(|deployment| &deployment.pods).filter(|_| job.seamless) {
            assert!(Self::level(pod.release) <= reached, "a pod of {} misses migrations", pod.release);
        }
    }

    /// What newer releases brought is undone, or whatever is not applied any more: it must run again, whatever was
    /// recorded.
    fn forget(&mut self, newer_than: Release, level: usize) {
        let identity = self.identity();
        let mut installation = self.installation();
        for version in VERSIONS.iter().filter_map(|version| version.parse().ok()) {
            let gone = version > newer_than || Self::level(version) > level;
            for repository in REPOSITORIES.iter().filter(|_| gone) {
                (*repository).clone_into(&mut installation.images.api);
                let key = MigrationKey::migrate(&installation, version, &identity).to_string();
                self.applied.remove(&key);
                self.recorded.remove(&key);
            }
        }
    }

    /// The running Job fails of what it was given.
    pub(super) fn fail_job_of(&mut self, what: Circumstance) {
        let failed = JobOutcome::Failed { reason: "PodFailurePolicy".to_owned(), message: String::new() };
        if let Some((_, job)) = self.active_job()
            && job.started
            && !job.deleting
        {
            job.why = Some(what);
            self.finish_job(failed);
        }
    }

    pub(super) fn finish_backup(&mut self, outcome: &JobOutcome) {
        let now =
            Dumped { schema: self.schemas[self.wanted.database].clone(), applied: self.applied.clone() };
        for (name, backup) in &mut self.backups {
            if *backup == JobOutcome::Active {
                *backup = outcome.clone();
                if *outcome == JobOutcome::Complete {
                    self.clock += 1;
                    self.dumped.insert(name.clone(), (self.clock, now.clone()));
                }
            }
        }
    }

    /// Every image is there.
    pub(super) fn finish_pulls(&mut self) {
        self.pulls.values_mut().for_each(|ended| *ended = true);
    }

    /// Kubernetes ends Jobs that are being deleted.
    pub(super) fn collect_jobs(&mut self) {
        self.jobs.retain(|_, job| !job.deleting);
    }

    /// Kubernetes exchanges at most one pod of each Deployment (a task processor's old pods all end first).
    pub(super) fn roll(&mut self) {
        let migrating = self.active_job().is_some();
        for (component, deployment) in &mut self.deployments {
            let wanted =
                Pod { release: deployment.workload.release, image: deployment.workload.image.clone() };
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
        let pods = |component: &str| self.deployments.get(component).into_iter().flat_map(|it| &it.pods);
        for processor in pods("task-processor") {
            for api in pods("api") {
                assert!(api.release <= processor.release, "an API ahead of the task processor");
            }
        }
    }

    pub(super) fn plan(&self) -> Plan {
        let observation = self.observe();
        decide(&self.installation(), &observation, &self.diagnose(&observation))
    }

    /// What the user reads in the diagnosis of a blocked downgrade.
    pub(super) fn direction(&self) -> Direction {
        direction(&self.installation(), &self.observe())
    }
}
