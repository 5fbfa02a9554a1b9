//! `MigrationsApplied`.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use serde_json::json;

use super::scene::{Said, Scene, job, said, starting, workload};
use crate::{
    api::{FlagsmithDeploymentStatus, MigrationOperation, MigrationResult, MigrationStatus},
    decide::Gate,
    model::{Code, Component, Severity},
    observe::{
        DatabaseProbe, History, JobOutcome, JobState, Look, Observation, Pending, PodSummary, Preflight,
        ProbeFailure, ProbeFailureKind,
    },
    report::{ConditionType, migration},
    runtime::metrics,
};

fn at(gate: Gate) -> Scene {
    Scene::managed(json!({})).at(gate)
}

fn running() -> JobState {
    JobState {
        count_before: Some(200),
        started: Some("2026-01-01T10:00:00Z".parse().unwrap()),
        ..job(JobOutcome::Active)
    }
}

/// The pod has found three migrations to do, and the database has so many.
fn applied(observation: &mut Observation, count: i64) {
    observation.pods = vec![PodSummary {
        component: Some(Component::Migrations),
        job: Some(running().name),
        pending: Some(Pending {
            count: 3,
            squashed: Vec::new(),
            names: ["a.0001", "a.0002", "b.0001"].map(str::to_owned).to_vec(),
        }),
        ..PodSummary::default()
    }];
    observation.preflight = Some(Ok(Preflight {
        complete: true,
        history: History { count, ..History::default() },
        ..Preflight::default()
    }));
}

#[rstest]
#[case::applied(at(Gate::Succeeded), said("True", "Applied", "every migration of 2.265.0 is applied"))]
#[case::not_recorded_yet(
    at(Gate::Unrecorded(job(JobOutcome::Complete))),
    said("True", "Applied", "every migration of 2.265.0 is applied")
)]
#[case::not_looked_at_yet(
    at(Gate::Blocked(Code::MigrationsPending)).seeing(|observation| observation.look = Look::Pending(Duration::from_mins(1))),
    said(
        "False",
        "MigrationsPending",
        "the migration to 2.265.0 starts when the operator has looked into the database"
    )
)]
#[case::looked_at_in_vain(
    at(Gate::Blocked(Code::MigrationsPending)).seeing(|observation| {
        observation.database = DatabaseProbe::Reachable { version: 150_018, read_only: None };
        observation.preflight = Some(Err(ProbeFailure {
            kind: ProbeFailureKind::TooManyConnections,
            message: "sorry, too many clients already".to_owned(),
        }));
    }),
    said(
        "False",
        "MigrationsPending",
        "the migration to 2.265.0 cannot start yet: it looks before, and its last look failed: sorry, too many clients already"
    )
)]
#[case::running(
    at(Gate::Running(running())),
    said("False", "Running", "Job flagsmith-migrate-1a2b is migrating the database to 2.265.0")
)]
#[case::one_of_three(
    at(Gate::Running(running())).seeing(|observation| applied(observation, 201)),
    said(
        "False",
        "Running",
        "Job flagsmith-migrate-1a2b is migrating the database to 2.265.0: 1 of 3 migrations applied, a.0002 running since 2026-01-01T10:00:00Z"
    )
)]
#[case::rolling_back(
    at(Gate::Running(JobState { operation: MigrationOperation::RollBack, ..running() })),
    said("False", "Running", "Job flagsmith-migrate-1a2b is undoing the migrations that are newer than 2.265.0")
)]
#[case::waiting_for_the_task_processor(
    at(Gate::Pending),
    said("False", "Pending", "the migration to 2.265.0 starts when the task processor has stopped")
)]
#[case::being_started(
    Scene::managed(json!({})).seeing(|observation| {
        observation.previous.migration = None;
        observation.api = None;
        observation.task_processor = None;
        observation.frontend = None;
    }),
    said("False", "Pending", "the migration to 2.265.0 is being started")
)]
#[case::failed(
    at(Gate::Failed { job: "flagsmith-migrate-1a2b".to_owned(), state: None }),
    said("False", "MigrationFailed", "Job flagsmith-migrate-1a2b has failed")
)]
#[case::failed_and_it_is_known_why(
    at(Gate::Failed { job: "flagsmith-migrate-1a2b".to_owned(), state: None })
        .diagnosed(Code::MigrationDeadlock, Severity::Critical, Component::Migrations),
    said("False", "MigrationDeadlock", "MigrationDeadlock is the case")
)]
#[case::another_one_runs(
    at(Gate::Blocked(Code::MigrationConcurrent))
        .seeing(|observation| observation.external_migration = Some("Job prod/other".to_owned())),
    said(
        "False",
        "MigrationConcurrent",
        "the migration to 2.265.0 waits for another one of the same database: Job prod/other"
    )
)]
#[case::another_one_ran(
    at(Gate::Blocked(Code::MigrationConcurrent)),
    said(
        "False",
        "MigrationConcurrent",
        "the migration to 2.265.0 waits for another one of the same database: it has just ended"
    )
)]
#[case::backup(
    at(Gate::Blocked(Code::BackupPending)),
    said("False", "BackupPending", "the migration to 2.265.0 waits for its backup")
)]
#[case::blocked(
    at(Gate::Blocked(Code::DatabaseReadOnly)),
    said("False", "DatabaseReadOnly", "the migration to 2.265.0 cannot start yet: DatabaseReadOnly")
)]
#[case::observed_and_ready(
    Scene::observed().seeing(|observation| {
        observation.jobs.clear();
        observation.api = Some(workload("api", 2));
    }),
    said("True", "ReportedByPods", "ready pods of the API find every migration of their release applied")
)]
#[case::observed_and_not_ready(
    Scene::observed().seeing(|observation| {
        observation.jobs.clear();
        observation.api = Some(starting("api", 2));
    }),
    said("Unknown", "NotKnown", "no pod of the newest template is ready that could tell")
)]
#[case::observed_and_running(
    Scene::observed().seeing(|observation| observation.jobs = vec![job(JobOutcome::Active)]),
    said("False", "Running", "Job flagsmith-migrate-1a2b is migrating the database")
)]
#[case::observed_and_diagnosed(
    Scene::observed().diagnosed(Code::MigrationDeadlock, Severity::Critical, Component::Migrations),
    said("False", "MigrationDeadlock", "MigrationDeadlock is the case")
)]
fn migrations_applied(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::MigrationsApplied), Some(expected));
}

/// A status whose migration by the Job `job` stands so, and has finished a minute after its start where it has.
fn recorded(job: &str, result: MigrationResult) -> FlagsmithDeploymentStatus {
    let at = |time: &str| Some(Time(time.parse().unwrap()));
    let over = matches!(result, MigrationResult::Applied | MigrationResult::Failed);
    let migration = MigrationStatus {
        job: Some(job.to_owned()),
        result,
        started: at("2026-01-01T10:00:00Z"),
        finished: over.then(|| at("2026-01-01T10:01:00Z")).flatten(),
        ..MigrationStatus::default()
    };
    FlagsmithDeploymentStatus { migration: Some(migration), ..FlagsmithDeploymentStatus::default() }
}

#[rstest]
#[case::succeeded(
    recorded("a", MigrationResult::Running),
    recorded("a", MigrationResult::Applied),
    Some(metrics::MigrationResult::Succeeded)
)]
#[case::failed(
    recorded("a", MigrationResult::Running),
    recorded("a", MigrationResult::Failed),
    Some(metrics::MigrationResult::Failed)
)]
#[case::the_first_of_all(
    FlagsmithDeploymentStatus::default(),
    recorded("a", MigrationResult::Applied),
    Some(metrics::MigrationResult::Succeeded)
)]
#[case::the_next_in_one_pass(
    recorded("a", MigrationResult::Applied),
    recorded("b", MigrationResult::Applied),
    Some(metrics::MigrationResult::Succeeded)
)]
#[case::counted_already(
    recorded("a", MigrationResult::Applied),
    recorded("a", MigrationResult::Applied),
    None
)]
#[case::not_over(recorded("a", MigrationResult::Pending), recorded("a", MigrationResult::Running), None)]
#[case::nothing_known(recorded("a", MigrationResult::Running), FlagsmithDeploymentStatus::default(), None)]
fn a_migration_is_counted_once_when_it_ends(
    #[case] before: FlagsmithDeploymentStatus,
    #[case] after: FlagsmithDeploymentStatus,
    #[case] counted: Option<metrics::MigrationResult>,
) {
    let ended = migration::ended(&before, &after);
    assert_eq!(ended, counted.map(|result| (result, Duration::from_mins(1))));
}
