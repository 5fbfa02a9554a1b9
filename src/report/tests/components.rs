//! `ApiAvailable`, `TaskProcessorAvailable`, `FrontendAvailable` and `EdgeProxyAvailable`.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::scene::{Said, Scene, job, newer_api_ends, said, starting, workload};
use crate::{
    decide::Gate,
    model::{Code, Component, Severity},
    observe::{
        DatabaseProbe, JobOutcome, Observation, PodSummary, ProbeFailure, ProbeFailureKind, WorkloadState,
        database::{Queue, QueueProbe, Recurring},
    },
    report::ConditionType,
};

const UNREADABLE: &str = "1 of 1 pod ready, version 2.265.0; whether tasks are picked up is not known, because the operator cannot read the queue (no route)";

fn managed() -> Scene {
    Scene::managed(json!({}))
}

fn failure() -> ProbeFailure {
    ProbeFailure { kind: ProbeFailureKind::TimedOut, message: "no route".to_owned() }
}

fn scaled_to_zero(component: &str, resting: bool) -> WorkloadState {
    WorkloadState { resting, ..workload(component, 0) }
}

fn migrating(observation: &mut Observation) {
    observation.task_processor = Some(scaled_to_zero("task-processor", false));
}

#[rstest]
#[case::available(managed(), said("True", "Available", "2 of 2 pods ready, version 2.265.0"))]
#[case::some_ready(
    managed().seeing(|observation| {
        observation.api = Some(WorkloadState { ready: 1, release: None, ..workload("api", 2) });
    }),
    said("True", "Available", "1 of 2 pods ready")
)]
#[case::more_than_wanted(
    managed().seeing(|observation| observation.api = Some(WorkloadState { ready: 3, ..workload("api", 2) })),
    said("True", "Available", "2 of 2 pods ready, version 2.265.0")
)]
#[case::starting(
    managed().seeing(|observation| observation.api = Some(starting("api", 2))),
    said("False", "Starting", "0 of 2 pods ready, version 2.265.0")
)]
#[case::starting_and_it_is_known_why_not(
    managed()
        .seeing(|observation| observation.api = Some(starting("api", 2)))
        .diagnosed(Code::CrashLooping, Severity::Critical, Component::Api),
    said("False", "CrashLooping", "CrashLooping is the case")
)]
#[case::ready_whatever_else_is_wrong(
    managed().diagnosed(Code::CrashLooping, Severity::Critical, Component::Api),
    said("True", "Available", "2 of 2 pods ready, version 2.265.0")
)]
#[case::none_wanted(
    managed().seeing(|observation| observation.api = Some(scaled_to_zero("api", false))),
    said("False", "ScaledToZero", "no pod is wanted")
)]
#[case::none_wanted_on_purpose(
    managed().seeing(|observation| observation.api = Some(scaled_to_zero("api", true))),
    said("True", "ScaledToZero", "no pod is wanted, on purpose")
)]
#[case::absent(
    managed().seeing(|observation| observation.api = None),
    said("False", "Creating", "the Deployment is being made")
)]
#[case::absent_before_the_migration(
    managed().seeing(|observation| {
        observation.previous.migration = None;
        observation.api = None;
        observation.task_processor = None;
        observation.frontend = None;
    }),
    said("False", "WaitingForMigration", "it starts when the migration has succeeded")
)]
#[case::absent_and_nothing_is_made(
    Scene::managed(json!({ "suspend": true })).seeing(|observation| observation.api = None),
    said("False", "Suspended", "there is no Deployment, and none is made while spec.suspend is true")
)]
#[case::absent_and_it_is_known_why(
    managed()
        .seeing(|observation| observation.api = None)
        .diagnosed(Code::QuotaExceeded, Severity::Critical, Component::Api),
    said("False", "QuotaExceeded", "QuotaExceeded is the case")
)]
#[case::observed(
    Scene::observed().seeing(|observation| observation.api = Some(workload("api", 1))),
    said("True", "Available", "1 of 1 pod ready, version 2.265.0")
)]
#[case::observed_and_absent(
    Scene::observed().seeing(|observation| observation.api = None),
    said("False", "NotFound", "there is no such Deployment")
)]
#[case::observed_and_diagnosed(
    Scene::observed()
        .seeing(|observation| observation.api = None)
        .diagnosed(Code::InvalidSpec, Severity::Critical, Component::Api),
    said("False", "InvalidSpec", "InvalidSpec is the case")
)]
fn api_available(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::ApiAvailable), Some(expected));
}

fn queue(heartbeat: Option<SignedDuration>) -> QueueProbe {
    QueueProbe::Seen(Box::new(Queue {
        recurring: heartbeat.map(|age| {
            vec![Recurring {
                identifier: "clean_up_old_tasks".to_owned(),
                disabled: false,
                failures: 0,
                locked: false,
                picked: Some(age),
                last: None,
            }]
        }),
        ..Queue::default()
    }))
}

#[rstest]
#[case::queue_not_probed(managed(), said("True", "Available", "1 of 1 pod ready, version 2.265.0"))]
#[case::no_task_tables(
    managed().seeing(|observation| observation.queues.default = QueueProbe::NoTables),
    said("True", "Available", "1 of 1 pod ready, version 2.265.0")
)]
#[case::works(
    managed().seeing(|observation| observation.queues.default = queue(Some(SignedDuration::from_secs(4)))),
    said("True", "Available", "1 of 1 pod ready, version 2.265.0, last task picked up less than 10 s ago")
)]
#[case::some_were_given_up(
    managed().seeing(|observation| {
        observation.queues.default = QueueProbe::Seen(Box::new(Queue {
            given_up: vec![("tasks.call_webhook".to_owned(), 2), ("audit.create".to_owned(), 1)],
            ..Queue::default()
        }));
    }),
    said(
        "True",
        "Available",
        "1 of 1 pod ready, version 2.265.0, whether tasks are picked up cannot be told; 3 tasks of the last hour given up after three attempts (tasks.call_webhook, audit.create)"
    )
)]
#[case::nothing_to_tell_by(
    managed().seeing(|observation| observation.queues.default = queue(None)),
    said(
        "True",
        "Available",
        "1 of 1 pod ready, version 2.265.0, whether tasks are picked up cannot be told"
    )
)]
#[case::the_separate_queue_counts(
    managed().seeing(|observation| {
        observation.queues.default = queue(Some(SignedDuration::from_secs(4)));
        observation.queues.separate = Some(QueueProbe::Failed(failure()));
    }),
    said("Unknown", "ProbeBlocked", UNREADABLE)
)]
#[case::queue_unreadable(
    managed().seeing(|observation| observation.queues.default = QueueProbe::Failed(failure())),
    said("Unknown", "ProbeBlocked", UNREADABLE)
)]
#[case::database_unreachable(
    managed().seeing(|observation| observation.database = DatabaseProbe::Failed(failure())),
    said("Unknown", "ProbeBlocked", UNREADABLE)
)]
#[case::ready_but_idle(
    managed().diagnosed(Code::TaskQueueStalled, Severity::Critical, Component::TaskProcessor),
    said("False", "TaskQueueStalled", "TaskQueueStalled is the case")
)]
#[case::starting(
    managed().seeing(|observation| observation.task_processor = Some(starting("task-processor", 1))),
    said("False", "Starting", "0 of 1 pod ready, version 2.265.0")
)]
#[case::stopped_for_the_migration(
    managed().seeing(migrating).at(Gate::Running(job(JobOutcome::Active))),
    said("False", "StoppedForMigration", "no task runs while the database is migrated")
)]
#[case::stopped_for_a_migration_that_does_not_begin(
    managed()
        .seeing(migrating)
        .at(Gate::Running(job(JobOutcome::Active)))
        .diagnosed(Code::MigrationImagePullFailed, Severity::Critical, Component::Migrations),
    said(
        "False",
        "StoppedForMigration",
        "no task runs until the database is migrated, which is held up: MigrationImagePullFailed"
    )
)]
#[case::the_newer_api_has_not_ended(
    managed().seeing(newer_api_ends),
    said(
        "False",
        "WaitingForApi",
        "it starts when no pod of the API is of a newer release: that queues tasks which it does not know"
    )
)]
#[case::the_one_that_is_ready_is_of_the_older_release(
    managed().seeing(|observation| {
        observation.pods = vec![PodSummary {
            component: Some(Component::TaskProcessor),
            version: Some("2.260.0".to_owned()),
            ready: true,
            ..PodSummary::default()
        }];
    }),
    said("True", "Available", "1 of 1 pod ready, version 2.260.0")
)]
#[case::none_wanted(managed().seeing(migrating), said("False", "ScaledToZero", "no pod is wanted"))]
#[case::absent(
    managed().seeing(|observation| observation.task_processor = None),
    said("False", "Creating", "the Deployment is being made")
)]
#[case::observed_and_absent(
    Scene::observed().seeing(|observation| observation.task_processor = None),
    said("False", "NotFound", "there is no such Deployment")
)]
#[case::observed_without_queue(
    Scene::observed().seeing(|observation| {
        observation.task_processor = None;
        observation.api = Some(workload("api", 1));
    }),
    said("True", "NotUsed", "the API runs its tasks itself")
)]
fn task_processor_available(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::TaskProcessorAvailable), Some(expected));
}

#[rstest]
#[case::available(managed(), said("True", "Available", "1 of 1 pod ready, version 2.265.0"))]
#[case::disabled(
    Scene::managed(json!({ "frontend": { "enabled": false } })),
    said("True", "Disabled", "spec.frontend.enabled is false")
)]
#[case::absent(
    managed().seeing(|observation| observation.frontend = None),
    said("False", "Creating", "the Deployment is being made")
)]
#[case::starting(
    managed().seeing(|observation| observation.frontend = Some(starting("frontend", 1))),
    said("False", "Starting", "0 of 1 pod ready, version 2.265.0")
)]
#[case::observed_and_absent(
    Scene::observed().seeing(|observation| observation.frontend = None),
    said("True", "NotUsed", "no frontend belongs to this installation")
)]
fn frontend_available(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::FrontendAvailable), Some(expected));
}

fn with_edge_proxy() -> Scene {
    let key = |key: &str| json!({ "secretKeyRef": { "name": "sdk", "key": key } });
    let environment = json!({ "clientSideKeyFrom": key("client"), "serverSideKeyFrom": key("server") });
    Scene::managed(json!({ "edgeProxy": { "environments": [environment] } }))
}

fn edge_proxy(pods: i32, ready: i32) -> WorkloadState {
    WorkloadState { release: None, ready, available: ready, ..workload("edge-proxy", pods) }
}

#[rstest]
#[case::not_wanted(managed(), None)]
#[case::absent(with_edge_proxy(), Some(said("False", "Creating", "the Deployment is being made")))]
#[case::starting(
    with_edge_proxy().seeing(|observation| observation.edge_proxy = Some(edge_proxy(2, 0))),
    Some(said("False", "Starting", "0 of 2 pods ready"))
)]
#[case::it_is_known_why_not(
    with_edge_proxy()
        .seeing(|observation| observation.edge_proxy = Some(edge_proxy(2, 0)))
        .diagnosed(Code::EdgeProxyCannotUpdate, Severity::Critical, Component::EdgeProxy),
    Some(said("False", "EdgeProxyCannotUpdate", "EdgeProxyCannotUpdate is the case"))
)]
#[case::available(
    with_edge_proxy().seeing(|observation| observation.edge_proxy = Some(edge_proxy(2, 2))),
    Some(said("True", "Available", "2 of 2 pods ready"))
)]
fn edge_proxy_available(#[case] scene: Scene, #[case] expected: Option<Said>) {
    assert_eq!(scene.says(ConditionType::EdgeProxyAvailable), expected);
}

#[test]
fn an_installation_waits_for_its_edge_proxy() {
    let waits = "2.265.0 is being rolled out; waiting for: edge proxy";
    assert_eq!(with_edge_proxy().says(ConditionType::Ready), Some(said("False", "Progressing", waits)));
    let well = with_edge_proxy().seeing(|observation| observation.edge_proxy = Some(edge_proxy(1, 1)));
    let runs = "Flagsmith 2.265.0 runs as asked for";
    assert_eq!(well.says(ConditionType::Ready), Some(said("True", "Available", runs)));
}
