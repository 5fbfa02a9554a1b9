//! What the operator would see of the world.

use super::*;
use crate::{
    model::PodPhase,
    observe::{DatabaseProbe, ProbeFailure, ProbeFailureKind},
};

impl World {
    pub(super) fn observe(&self) -> Observation {
        let mut observation = fixtures::empty_observation();
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
        observation.previous = self.status.clone();
        observation.look = self.look;
        observation.database = DatabaseProbe::Reachable { version: 150_018, read_only: None };
        if self.preflight_missed {
            observation.preflight = Some(Err(ProbeFailure {
                kind: ProbeFailureKind::TooManyConnections,
                message: "sorry, too many clients already".to_owned(),
            }));
        }
        observation.api = workload("api");
        observation.task_processor = workload("task-processor");
        observation.frontend = workload("frontend");
        observation.jobs = self.jobs.iter().map(|(name, job)| job.state(name)).collect();
        observation.backups = self
            .backups
            .iter()
            .map(|(name, outcome)| JobState {
                name: name.clone(),
                outcome: outcome.clone(),
                claim: Some("backups".to_owned()),
                from: self.made_of.get(name).copied().flatten(),
                finished: self.dumped.get(name).and_then(|(made, _)| Timestamp::from_second(*made).ok()),
                ..JobState::default()
            })
            .collect();
        observation.pulls = self
            .pulls
            .iter()
            .map(|(name, ended)| JobState {
                name: name.clone(),
                outcome: if *ended { JobOutcome::Complete } else { JobOutcome::Active },
                ..JobState::default()
            })
            .collect();
        let lock = self.lock();
        observation.external_migration = external_migration(&self.foreign_jobs(), &lock, &self.base.identity);
        observation.migration_lock = Some(lock);
        observation.secrets.migration_database =
            if self.secret_missing { SecretState::Missing } else { SecretState::Present(self.identity()) };
        observation.secrets.migration_hash = Some(self.given.credentials.to_string());
        observation.pods = self
            .deployments
            .iter()
            .flat_map(|(component, deployment)| {
                deployment.pods.iter().map(move |pod| summary(component, pod.release, true))
            })
            .chain(self.jobs.iter().filter(|(_, job)| job.outcome == JobOutcome::Active).map(
                |(name, job)| PodSummary {
                    job: Some(name.clone()),
                    pending: job.started.then(|| Pending {
                        count: job.pending,
                        squashed: Vec::new(),
                        names: Vec::new(),
                    }),
                    problems: summary("migrations", job.release, job.started || job.planning).problems,
                    ..summary("migrations", job.release, job.started)
                },
            ))
            .chain(
                // What earlier attempts ended of is left out, as in a real look.
                self.jobs.iter().max_by_key(|(_, job)| job.made).and_then(|(name, job)| job.failed_pod(name)),
            )
            .collect();
        observation
    }

    pub(super) fn diagnose(&self, observation: &Observation) -> Vec<Diagnosis> {
        let installation = self.installation();
        let downgrade = matches!(direction(&installation, observation), Direction::Blocked(_));
        [
            (self.secret_missing, Code::DatabaseSecretMissing),
            (self.unreachable, Code::DatabaseUnreachable),
            (downgrade, Code::DowngradeBlocked),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, code)| {
            Diagnosis::from(crate::model::Draft {
                code,
                severity: Severity::Critical,
                component: Component::Migrations,
                message: String::new(),
                evidence: Vec::new(),
                remedy: String::new(),
            })
        })
        .collect()
    }
}

impl Job {
    /// What is left of it when it failed of what it was given.
    fn failed_pod(&self, name: &str) -> Option<PodSummary> {
        let problem = match self.why? {
            Circumstance::MemoryLimit => PodProblem::OutOfMemory {
                container: "migrate".to_owned(),
                restarts: 0,
                limit: Some("1Gi".to_owned()),
            },
            Circumstance::Credentials => PodProblem::Failed {
                exit_code: 1,
                reason: None,
                message: Some(
                    "psycopg2.OperationalError: connection to server at \"db\", port 5432 failed: FATAL:  \
                     password authentication failed for user \"app\""
                        .to_owned(),
                ),
            },
        };
        Some(PodSummary {
            job: Some(name.to_owned()),
            problems: vec![problem],
            phase: PodPhase::Failed,
            ..summary("migrations", self.release, true)
        })
    }

    fn state(&self, name: &str) -> JobState {
        JobState {
            name: name.to_owned(),
            key: Some(self.key.clone()),
            release: Some(self.release),
            operation: match (&self.undoes, &self.restores) {
                (None, None) => MigrationOperation::Migrate,
                (Some(_), _) => MigrationOperation::RollBack,
                (None, Some(_)) => MigrationOperation::Restore,
            },
            from: self.from,
            count_before: None,
            last_applied_before: self.found.and_then(|at| Timestamp::from_second(at).ok()),
            credentials: Some(self.given.credentials.to_string()),
            memory_limit: Some(format!("{}Gi", 1 + self.given.memory)),
            claim: None,
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
        component: Component::named(component),
        version: Some(release.to_string()),
        phase: if started { PodPhase::Running } else { PodPhase::Pending },
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
