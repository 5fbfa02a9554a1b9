//! An installation that runs as asked for, from which each situation differs in one thing.

use serde_json::Value;

use crate::{
    api::{FlagsmithDeploymentStatus, MigrationResult, MigrationStatus},
    decide::{Gate, Plan, decide},
    fixtures::{self, CHART_WITH_PROCESSOR, database, spec},
    model::{Code, Component, Diagnosis, DocsUrl, PodPhase, Severity},
    observe::{JobOutcome, JobState, Observation, PodSummary, WorkloadState},
    report::{ConditionType, Context, status::status},
    validate::{Installation, MigrationKey},
};

pub(super) const RELEASE: &str = "2.265.0";

/// The remedy of every diagnosis here.
pub(super) const REMEDY: &str = "Do this.";

/// Everything that conditions are computed from.
pub(super) struct Scene {
    pub(super) installation: Installation,
    pub(super) observation: Observation,
    pub(super) diagnoses: Vec<Diagnosis>,
    pub(super) complete: bool,
    gate: Option<Gate>,
}

/// After going back: the last pod of the newer API has not ended, so there is no task processor yet.
pub(super) fn newer_api_ends(observation: &mut Observation) {
    observation.task_processor = Some(workload("task-processor", 0));
    observation.pods.push(PodSummary {
        component: Some(Component::Api),
        version: Some("2.266.0".to_owned()),
        phase: PodPhase::Running,
        terminating: true,
        ..PodSummary::default()
    });
}

/// Status, reason and message.
pub(super) type Said = (String, String, String);

pub(super) fn said(status: &str, reason: &str, message: &str) -> Said {
    (status.to_owned(), reason.to_owned(), message.to_owned())
}

impl Scene {
    /// A managed installation whose pods are all ready and whose migration is recorded.
    pub(super) fn managed(changes: Value) -> Self {
        let installation = fixtures::installation(&spec(changes));
        let mut observation = fixtures::empty_observation();
        observation.api = Some(workload("api", 2));
        observation.task_processor = Some(workload("task-processor", 1));
        observation.frontend = Some(workload("frontend", 1));
        observation.previous.migration = Some(MigrationStatus {
            key: Some(key(&installation)),
            version: RELEASE.to_owned(),
            result: MigrationResult::Applied,
            ..MigrationStatus::default()
        });
        Self { installation, observation, diagnoses: Vec::new(), complete: true, gate: None }
    }

    /// A release of the official chart with a task processor, all of whose pods are ready.
    pub(super) fn observed() -> Self {
        let (found, observation) = fixtures::observed("acme", &fixtures::objects(CHART_WITH_PROCESSOR));
        Self {
            installation: found.installation,
            observation,
            diagnoses: Vec::new(),
            complete: true,
            gate: None,
        }
    }

    pub(super) fn seeing(mut self, change: impl FnOnce(&mut Observation)) -> Self {
        change(&mut self.observation);
        self
    }

    pub(super) fn diagnosed(mut self, code: Code, severity: Severity, component: Component) -> Self {
        self.diagnoses.push(Diagnosis::from(crate::model::Draft {
            code,
            severity,
            component,
            message: format!("{code} is the case"),
            evidence: Vec::new(),
            remedy: REMEDY.to_owned(),
        }));
        self
    }

    /// Whatever would be decided.
    pub(super) fn at(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Not everything could be written.
    pub(super) fn incomplete(mut self) -> Self {
        self.complete = false;
        self
    }

    /// What is reported.
    pub(super) fn status(&self) -> FlagsmithDeploymentStatus {
        let mut plan = if self.installation.managed_by.is_operator() {
            decide(&self.installation, &self.observation, &self.diagnoses)
        } else {
            Plan::of_nothing(&self.installation, &self.observation)
        };
        if let Some(gate) = &self.gate {
            plan.gate = gate.clone();
        }
        let context = Context {
            installation: &self.installation,
            observation: &self.observation,
            plan: &plan,
            diagnoses: &self.diagnoses,
            complete: self.complete,
        };
        status(context, &DocsUrl::default())
    }

    /// What the condition of this type says; `None` when there is none.
    pub(super) fn says(&self, kind: ConditionType) -> Option<Said> {
        let mut of_kind =
            self.status().conditions.into_iter().filter(|condition| condition.type_ == kind.as_str());
        let condition = of_kind.next()?;
        assert_eq!(of_kind.next(), None, "one condition of each type");
        assert_eq!(condition.observed_generation, Some(1));
        Some((condition.status, condition.reason, condition.message))
    }
}

pub(super) fn key(installation: &Installation) -> String {
    MigrationKey::migrate(installation, RELEASE.parse().unwrap(), &database()).to_string()
}

pub(super) fn workload(component: &str, pods: i32) -> WorkloadState {
    WorkloadState {
        release: Some(RELEASE.parse().unwrap()),
        image: Some(format!("docker.flagsmith.com/flagsmith/flagsmith-api:{RELEASE}")),
        migrated: Some(RELEASE.parse().unwrap()),
        ..fixtures::rolled_out(format!("flagsmith-{component}"), pods)
    }
}

/// None of its pods is ready yet.
pub(super) fn starting(component: &str, pods: i32) -> WorkloadState {
    WorkloadState { ready: 0, available: 0, ..workload(component, pods) }
}

pub(super) fn job(outcome: JobOutcome) -> JobState {
    JobState {
        name: "flagsmith-migrate-1a2b".to_owned(),
        release: Some(RELEASE.parse().unwrap()),
        outcome,
        ..JobState::default()
    }
}

/// A ready pod of the API, which writes to the database.
pub(super) fn ready_pod() -> PodSummary {
    PodSummary {
        name: "flagsmith-api-x".to_owned(),
        component: Some(Component::Api),
        phase: PodPhase::Running,
        ready: true,
        ..PodSummary::default()
    }
}
