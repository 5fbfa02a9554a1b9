//! What the operator's writes do to the world; each is checked when it happens.

use super::*;
use crate::{decide::Migrate, validate::RestorePlan};

impl World {
    /// One pass of the operator that ends after so many writes. Returns whether it wrote all.
    pub(in crate::decide::tests) fn pass(&mut self, writes: usize) -> bool {
        let observation = self.observe();
        let plan = decide(&self.installation(), &observation, &self.diagnose(&observation));
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
            if self.pulls.remove(name).is_some() {
                continue;
            }
            let job = self.jobs.get_mut(name).unwrap();
            assert!(job.outcome != JobOutcome::Active || !job.started, "a running migration is deleted");
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
            self.made_of.insert(backup.name.clone(), backup.release);
            let before = self.backups.insert(backup.name.clone(), JobOutcome::Active);
            assert_eq!(before, None, "a backup is made twice");
        }
        if let Some(pull) = &plan.pull {
            if !spend() {
                return false;
            }
            let before = self.pulls.insert(pull.name.clone(), false);
            assert_eq!(before, None, "images are pulled twice");
        }
        let components =
            [("api", &plan.api), ("frontend", &plan.frontend), ("task-processor", &plan.task_processor)];
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
        self.report(&plan, &observation);
        true
    }

    fn create_job(&mut self, plan: &Plan) {
        let migrate = plan.migrate.as_ref().unwrap();
        assert_eq!(self.look, Look::Fresh, "a migration of what is not known");
        assert!(!self.preflight_missed, "a migration of what could not be seen");
        assert!(self.active_job().is_none(), "two active migrations");
        assert!(!self.external, "a migration beside that of another installation");
        assert!(!self.jobs.contains_key(&migrate.name), "a Job of that name exists");
        assert!(
            !self
                .settled_failures
                .get(first_attempt(&migrate.name))
                .is_some_and(|failure| failure.holds(self.given)),
            "a failed migration runs again"
        );
        let restores = migrate.action.restore().map(|plan| self.restores(plan));
        if restores.is_none() {
            self.is_next(migrate);
        }
        let mut seamless = false;
        if let Some(rollback) = migrate.action.rollback() {
            let confirmed = self.installation().rollback;
            assert!(
                confirmed.is_some_and(|it| (it.from, it.to) == (rollback.from, rollback.to)),
                "a rollback that nobody confirmed"
            );
            let back = self.serves_only(rollback.to);
            assert!(
                back || self.must_undo_first(rollback),
                "{} is undone while its pods serve",
                rollback.from
            );
            // What is claimed must hold. On a database that the user has exchanged nothing is.
            seamless = rollback.pods_first();
            assert!(back || !seamless, "the older pods do not come first");
            let proof = |job: &Job| job.undoes.is_none() && job.outcome == JobOutcome::Complete;
            assert!(!self.jobs.values().any(proof), "a Job still proves what is undone");
            let stale =
                |it: &Deployment| it.migration_key.as_ref().is_some_and(|key| self.recorded.contains(key));
            assert!(
                !["api", "task-processor"].iter().filter_map(|name| self.deployments.get(name)).any(stale),
                "an annotation still proves what is undone"
            );
        }
        if self.wanted.backup
            && self.observe().restored().is_none()
            && self.status.migration_history.iter().any(|it| it.result == MigrationResult::Applied)
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
                undoes: migrate.action.rollback().map(|rollback| rollback.applied_after.as_second()),
                restores,
                found: self.schemas[self.wanted.database].last().copied(),
                seamless,
                made: self.clock,
                pending: i32::try_from(Self::level(migrate.release).saturating_sub(self.applied_now()))
                    .unwrap(),
                outcome: JobOutcome::Active,
                why: None,
                given: self.given,
                deleting: false,
                started: false,
                planning: false,
            },
        );
    }

    /// What a restore brings back; the user has named and confirmed it, and nothing runs that it would meet.
    fn restores(&self, plan: &RestorePlan) -> Dumped {
        assert_eq!(self.wanted.restore.as_ref(), Some(&plan.from), "a restore that nobody asked for");
        for component in ["api", "task-processor"] {
            let deployment = self.deployments.get(component);
            let stopped = deployment.is_none_or(|it| it.pods.is_empty() && it.replicas == 0);
            assert!(stopped, "{component} runs when a backup is brought back");
            let proves =
                |it: &Deployment| it.migration_key.as_ref().is_some_and(|key| self.recorded.contains(key));
            assert!(!deployment.is_some_and(proves), "an annotation still proves what is replaced");
        }
        let ended = |job: &&Job| job.outcome != JobOutcome::Active;
        assert_eq!(self.jobs.values().find(ended), None, "a Job still proves what is replaced");
        self.dumped[&plan.from].1.clone()
    }

    /// A migration leads to the wanted release, or to the next stop of the way there.
    fn is_next(&self, migrate: &Migrate) {
        let wanted = self.installation().release;
        let stops: Vec<Release> = [(self.wanted.stepwise, VERSIONS[1]), (self.wanted.via, VIA)]
            .into_iter()
            .filter(|(counts, _)| *counts)
            .map(|(_, stop)| stop.parse().unwrap())
            .collect();
        assert!(migrate.release <= wanted, "beyond what is wanted");
        assert!(migrate.release == wanted || stops.contains(&migrate.release), "a stop that nobody names");
        // On a database of which nothing is known there are no stops.
        if migrate.action.rollback().is_some() || self.forgotten || self.observe().newest_recorded().is_none()
        {
            return;
        }
        let level = self.applied_now();
        // Nor are there on an empty one, such as undoing the first installation leaves.
        if level == 0 {
            return;
        }
        let missed = |stop: &&Release| **stop < migrate.release && Self::level(**stop) > level;
        assert_eq!(stops.iter().find(missed), None, "a stop is gone past");
        let api = self.deployments.get("api");
        let pods = api.into_iter().flat_map(|api| &api.pods).map(|pod| pod.release);
        let unfit = |pod: Release| {
            stops.iter().find(|stop| {
                **stop < migrate.release
                    && Self::level(**stop) <= level
                    && upgrades::incompatible(pod, **stop).is_some()
            })
        };
        let reached = |pod: &Release| self.recorded_at(VIA) && unfit(*pod).is_some();
        assert_eq!(pods.into_iter().find(reached), None, "pods that do not serve at the last stop");
    }

    /// Whether a release was recorded as migrated to on the wanted database.
    fn recorded_at(&self, version: &str) -> bool {
        let installation = self.installation();
        let key = MigrationKey::migrate(&installation, version.parse().unwrap(), &self.identity());
        self.recorded.contains(key.as_str())
    }

    /// Whether every pod of the API is of one release.
    fn serves_only(&self, release: Release) -> bool {
        self.deployments.get("api").is_some_and(|api| {
            api.workload.release == release && api.pods.iter().all(|pod| pod.release == release)
        })
    }

    /// Whether anything forbids that the older pods come first.
    fn must_undo_first(&self, rollback: &RollbackPlan) -> bool {
        let key = self.key().to_string();
        let history = &self.status.migration_history;
        let confirmed = self.wanted.rollback;
        self.forgotten
            || confirmed.is_some_and(|confirmed| confirmed.given || confirmed.undo_first)
            || upgrades::incompatible(rollback.to, rollback.from).is_some()
            || history.iter().any(|record| record.operation == MigrationOperation::RollBack)
            || !history
                .iter()
                .any(|it| it.result == MigrationResult::Applied && it.key.as_deref() == Some(key.as_str()))
    }

    /// Whether pods of the wanted release may run on the newer schema: the user goes back to it, and nothing is known
    /// against it.
    fn goes_back(&self) -> bool {
        let installation = self.installation();
        installation.rollback.is_some_and(|confirmed| {
            !confirmed.undo_first && upgrades::incompatible(confirmed.to, confirmed.from).is_none()
        })
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
                let installation = self.installation();
                let release = workload.release;
                assert_eq!(workload.image, installation.api_image(release));
                assert!(
                    release == installation.release || release < installation.release && self.wanted.via,
                    "neither the wanted release nor a stop"
                );
                let key = MigrationKey::migrate(&installation, release, &self.identity()).to_string();
                assert!(self.recorded.contains(&key), "{component} rolls before the migration is recorded");
                assert!(self.applied.contains(&key), "{component} rolls before the migration is applied");
                // Half a release counts for nothing: the user was told that it failed.
                // A failed upgrade leaves the older release serving, and so it does where that has no pods yet.
                let failed = before.is_none()
                    && self.observe().newest_migrated().is_none_or(|newest| newest <= release);
                let whole = LEVELS.iter().filter(|level| **level <= self.applied_now()).max();
                assert!(
                    self.forgotten
                        || failed
                        || whole.is_none_or(|whole| *whole <= Self::level(workload.release))
                        || self.goes_back(),
                    "{component} of {} on a newer schema",
                    workload.release
                );
            }
        }
        let starts = workload.replicas != Some(0) && before.is_some_and(|it| it.replicas == 0);
        assert!(
            !(component == "task-processor" && starts && matches!(self.look, Look::Pending(_)))
                // Of a Job that has ended all is known.
                || matches!(plan.gate, Gate::Succeeded | Gate::Failed { .. }),
            "a processor starts while nothing is known of the database"
        );
        assert!(
            !(component != "frontend" && starts)
                || Self::level(workload.release) <= self.applied_now()
                || self.forgotten,
            "{component} of {} starts on the schema of an older release",
            workload.release
        );
        let stops = workload.replicas == Some(0) && before.is_some_and(|it| it.replicas > 0);
        if component == "task-processor" && stops && plan.gate == Gate::Pending {
            let (installation, step) = (self.installation(), plan.step.as_ref().unwrap());
            let pull = pull_name(&installation, &step.job, &step.images(&installation));
            assert_eq!(
                self.pulls.get(&pull),
                Some(&true),
                "a processor is stopped for an image that is not there"
            );
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
        self.recorded.extend(key.filter(|key| !key.starts_with("undone-by-")));
    }

    /// The status as it is written.
    fn report(&mut self, plan: &Plan, observation: &Observation) {
        let installation = self.installation();
        let context = report::Context {
            installation: &installation,
            observation,
            plan,
            diagnoses: &[],
            complete: true,
        };
        let written = migration::migration(context);
        let known = self.status.migration_history.len();
        let history = migration::history(context);
        let new = history.len().saturating_sub(known);
        let applied = |it: &&MigrationStatus| {
            it.result == MigrationResult::Applied && it.operation == MigrationOperation::Migrate
        };
        self.recorded.extend(history.iter().take(new).filter(applied).filter_map(|it| it.key.clone()));
        self.status.migration_history.clone_from(&history);
        match written.result {
            MigrationResult::Failed => {
                let name = written.job.as_deref().unwrap_or_default();
                if let Some(job) = self.jobs.get(name) {
                    let (why, given) = (job.why, job.given);
                    self.settled_failures.insert(first_attempt(name).to_owned(), Settled { why, given });
                }
            }
            MigrationResult::Applied if written.operation == MigrationOperation::Migrate => {
                self.recorded.extend(written.key.clone());
            }
            _ => {}
        }
        let restored = restore::status(context);
        if restored.is_some() && restored != self.status.restore {
            assert!(
                history.iter().take(new).any(|it| it.operation == MigrationOperation::Restore)
                    || self.status.observed_generation.is_none()
            );
        }
        self.status.restore = restored;
        self.status.backups = report::backups::backups(observation);
        self.status.observed_generation = Some(1);
        self.status.migration = Some(written);
    }
}

/// The name that the first Job of an attempt's key had: later ones are numbered.
fn first_attempt(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((first, number)) if number.len() <= 2 => first,
        _ => name,
    }
}
