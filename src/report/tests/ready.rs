//! `Ready`, and `Reconciling` and `Stalled`, which follow from it.

use rstest::rstest;
use serde_json::json;

use super::scene::{Said, Scene, job, newer_api_ends, said, starting, workload};
use crate::{
    decide::Gate,
    model::{Code, Component, Severity},
    observe::{JobOutcome, WorkloadState},
    report::ConditionType,
};

fn managed() -> Scene {
    Scene::managed(json!({}))
}

fn failed() -> Scene {
    managed().at(Gate::Failed { job: "flagsmith-migrate-1a2b".to_owned(), state: None })
}

#[rstest]
#[case::as_asked_for(managed(), said("True", "Available", "Flagsmith 2.265.0 runs as asked for"))]
#[case::the_processor_waits_for_the_newer_api(
    managed().seeing(newer_api_ends),
    said("False", "Progressing", "2.265.0 is being rolled out; waiting for: task processor")
)]
#[case::suspended(
    Scene::managed(json!({ "suspend": true })).diagnosed(Code::CrashLooping, Severity::Critical, Component::Api),
    said("Unknown", "Suspended", "nothing is changed while spec.suspend is true")
)]
#[case::critical(
    managed().diagnosed(Code::CrashLooping, Severity::Critical, Component::Api),
    said("False", "CrashLooping", "CrashLooping is the case")
)]
#[case::a_warning_is_no_reason(
    managed().diagnosed(Code::TaskQueueGrowing, Severity::Warning, Component::TaskProcessor),
    said("True", "Available", "Flagsmith 2.265.0 runs as asked for")
)]
#[case::migrating(
    managed().at(Gate::Running(job(JobOutcome::Active))),
    said("False", "Migrating", "Job flagsmith-migrate-1a2b is migrating the database to 2.265.0")
)]
#[case::recording(
    managed().at(Gate::Unrecorded(job(JobOutcome::Complete))),
    said("False", "Progressing", "the migration is done; 2.265.0 is rolled out next")
)]
#[case::the_embedded_database_starts(
    Scene::managed(json!({ "database": { "embedded": {} } })).at(Gate::Pending),
    said("False", "DatabaseStarting", "the embedded PostgreSQL is not ready yet")
)]
#[case::not_everything_written(
    managed().incomplete(),
    said("False", "Progressing", "not every object could be written; the operator tries again")
)]
#[case::rolling_out(
    managed().seeing(|observation| observation.api = Some(starting("api", 2))),
    said("False", "Progressing", "2.265.0 is being rolled out; waiting for: API")
)]
#[case::an_older_release(
    managed().seeing(|observation| {
        for state in [&mut observation.task_processor, &mut observation.frontend] {
            state.as_mut().unwrap().release = Some("2.260.0".parse().unwrap());
        }
    }),
    said("False", "Progressing", "2.265.0 is being rolled out; waiting for: task processor, frontend")
)]
#[case::no_frontend_asked_for(
    Scene::managed(json!({ "frontend": { "enabled": false } })).seeing(|observation| observation.frontend = None),
    said("True", "Available", "Flagsmith 2.265.0 runs as asked for")
)]
fn ready_of_a_managed_installation(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::Ready), Some(expected));
}

#[rstest]
#[case::works(
    Scene::observed().seeing(|observation| observation.api = Some(workload("api", 2))),
    said("True", "Available", "Flagsmith 2.265.0 runs; it is observed, not managed")
)]
#[case::release_unknown(
    Scene::observed().seeing(|observation| {
        observation.api = Some(WorkloadState { release: None, ..workload("api", 2) });
    }),
    said("True", "Available", "Flagsmith runs; it is observed, not managed")
)]
#[case::critical(
    Scene::observed().diagnosed(Code::CrashLooping, Severity::Critical, Component::Api),
    said("False", "CrashLooping", "CrashLooping is the case")
)]
#[case::rolling_out(
    Scene::observed().seeing(|observation| {
        observation.task_processor = Some(starting("task-processor", 1));
        observation.frontend = None;
    }),
    said("False", "Progressing", "pods are being replaced; waiting for: task processor")
)]
fn ready_of_an_observed_installation(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::Ready), Some(expected));
}

/// `Reconciling`, then `Stalled`.
#[rstest]
#[case::ready(managed(), None, None)]
#[case::unknown(Scene::managed(json!({ "suspend": true })), None, None)]
#[case::rolling_out(
    managed().seeing(|observation| observation.api = Some(starting("api", 2))),
    Some(said("True", "Progressing", "2.265.0 is being rolled out; waiting for: API")),
    None
)]
#[case::a_cause_that_passes_by_itself(
    managed().diagnosed(Code::DatabaseStarting, Severity::Critical, Component::Database),
    Some(said("True", "DatabaseStarting", "DatabaseStarting is the case")),
    None
)]
#[case::a_cause_that_does_not(
    managed().diagnosed(Code::DatabaseVersionUnsupported, Severity::Critical, Component::Database),
    None,
    Some(said("True", "DatabaseVersionUnsupported", "waiting for a person: Do this."))
)]
#[case::a_warning_does_not_stall(
    managed()
        .diagnosed(Code::DatabaseVersionUnsupported, Severity::Warning, Component::Database)
        .seeing(|observation| observation.api = Some(starting("api", 2))),
    Some(said("True", "Progressing", "2.265.0 is being rolled out; waiting for: API")),
    None
)]
#[case::a_failed_migration_waits_for_a_person_whatever_its_cause(
    failed().diagnosed(Code::DatabaseStarting, Severity::Critical, Component::Migrations),
    None,
    Some(said("True", "DatabaseStarting", "waiting for a person: Do this."))
)]
#[case::observed(
    Scene::observed().seeing(|observation| observation.task_processor = Some(starting("task-processor", 1))),
    Some(said("True", "Progressing", "pods are being replaced; waiting for: task processor")),
    None
)]
#[case::observed_and_stalled(
    Scene::observed().diagnosed(Code::DatabaseVersionUnsupported, Severity::Critical, Component::Database),
    None,
    Some(said("True", "DatabaseVersionUnsupported", "waiting for a person: Do this."))
)]
fn one_of_two_while_ready_is_false(
    #[case] scene: Scene,
    #[case] reconciling: Option<Said>,
    #[case] stalled: Option<Said>,
) {
    assert_eq!(scene.says(ConditionType::Reconciling), reconciling);
    assert_eq!(scene.says(ConditionType::Stalled), stalled);
}
