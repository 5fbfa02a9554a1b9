//! What tests of decisions begin with: installations, and what is seen of them.

use serde_json::Value;

use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    decide::{Plan, Workload},
    fixtures::{self, database, installation, spec},
    migration::Step,
    model::{Code, Component, Diagnosis, PodPhase, Severity},
    observe::{JobOutcome, JobState, Observation, PodSummary, WorkloadState},
    validate::{Installation, MigrationKey, pull_name},
};

pub(super) const OLD: &str = "2.260.0";
pub(super) const NEW: &str = "2.265.0";
pub(super) const OLD_IMAGE: &str = "docker.flagsmith.com/flagsmith/flagsmith-api:2.260.0";
pub(super) const NEW_IMAGE: &str = "docker.flagsmith.com/flagsmith/flagsmith-api:2.265.0";
pub(super) const OLD_FRONTEND: &str = "docker.flagsmith.com/flagsmith/flagsmith-frontend:2.260.0";
pub(super) const NEW_FRONTEND: &str = "docker.flagsmith.com/flagsmith/flagsmith-frontend:2.265.0";

/// An installation of [`NEW`] with further settings.
pub(super) fn wanted(changes: Value) -> Installation {
    installation(&spec(changes))
}

pub(super) fn key(installation: &Installation, version: &str) -> String {
    MigrationKey::migrate(installation, version.parse().unwrap(), &database()).to_string()
}

/// A Deployment whose pods are all of one release.
pub(super) fn rolled_out(component: &str, version: &str, pods: i32) -> WorkloadState {
    let repository = if component == "frontend" { "frontend" } else { "api" };
    WorkloadState {
        release: Some(version.parse().unwrap()),
        image: Some(format!("docker.flagsmith.com/flagsmith/flagsmith-{repository}:{version}")),
        migration_key: None,
        migrated: Some(version.parse().unwrap()),
        secret_hash: Some("an-older-hash".to_owned()),
        ..fixtures::rolled_out(format!("flagsmith-{component}"), pods)
    }
}

/// Its template is new, and so is one pod of it, but an old one is left.
pub(super) fn rolling(component: &str, version: &str, pods: i32) -> WorkloadState {
    WorkloadState { updated: pods - 1, ..rolled_out(component, version, pods) }
}

pub(super) fn pod(component: &str, version: &str, phase: PodPhase) -> PodSummary {
    PodSummary {
        name: format!("flagsmith-{component}-x"),
        component: Component::named(component),
        version: Some(version.to_owned()),
        phase,
        ready: phase == PodPhase::Running,
        ..PodSummary::default()
    }
}

/// Everything runs a release, and its migration is recorded.
pub(super) fn runs(installation: &Installation, version: &str) -> Observation {
    let mut observation = fixtures::empty_observation();
    let with_key =
        |state: WorkloadState| WorkloadState { migration_key: Some(key(installation, version)), ..state };
    observation.task_processor = Some(with_key(rolled_out("task-processor", version, 1)));
    observation.api = Some(with_key(rolled_out("api", version, 2)));
    observation.frontend = Some(with_key(rolled_out("frontend", version, 1)));
    observation.pods =
        vec![pod("api", version, PodPhase::Running), pod("task-processor", version, PodPhase::Running)];
    observation
}

/// The image of what is due is known to be there.
pub(super) fn pulled(installation: &Installation, observation: &mut Observation) {
    let step = Step::of(installation, observation).unwrap();
    observation.pulls = vec![JobState {
        name: pull_name(installation, &step.job, &step.images(installation)),
        outcome: JobOutcome::Complete,
        ..JobState::default()
    }];
}

pub(super) fn recorded(installation: &Installation, version: &str) -> MigrationStatus {
    MigrationStatus {
        key: Some(key(installation, version)),
        version: version.to_owned(),
        result: MigrationResult::Applied,
        ..MigrationStatus::default()
    }
}

pub(super) fn job(installation: &Installation, version: &str, outcome: JobOutcome) -> JobState {
    let key = MigrationKey::migrate(installation, version.parse().unwrap(), &database());
    JobState {
        name: key.job_name(installation, MigrationOperation::Migrate),
        key: Some(key.to_string()),
        release: Some(version.parse().unwrap()),
        outcome,
        ..JobState::default()
    }
}

pub(super) fn failed() -> JobOutcome {
    JobOutcome::Failed { reason: "BackoffLimitExceeded".to_owned(), message: String::new() }
}

pub(super) fn blocked(code: Code) -> Vec<Diagnosis> {
    vec![Diagnosis::from(crate::model::Draft {
        code,
        severity: Severity::Critical,
        component: Component::Database,
        message: String::new(),
        evidence: Vec::new(),
        remedy: String::new(),
    })]
}

/// Image and number of pods of task processor, API and frontend.
pub(super) type Shape<'a> = [Option<(&'a str, Option<i32>)>; 3];

pub(super) fn shape(plan: &Plan) -> Shape<'_> {
    [&plan.task_processor, &plan.api, &plan.frontend].map(|workload| {
        let Workload { release, image, replicas, .. } = workload.as_ref()?;
        assert!(image.ends_with(&format!(":{release}")));
        Some((image.as_str(), *replicas))
    })
}
