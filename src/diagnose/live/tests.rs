use std::collections::BTreeSet;

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::diagnose;
use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    decide::MigrationKey,
    diagnose::{Code, Component, Diagnosis, Severity, diagnose_log},
    fixtures::{database, installation, minimal, observation, spec},
    observe::{
        CloseLooks, ContainerRun, DatabaseProbe, ExposureState, JobOutcome, JobState, LogReading,
        Observation, PodProblem, PodSummary, ProbeFailure, ProbeFailureKind, Run, SecretState, Warning,
        WorkloadState, database::QueueProbe,
    },
};

fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|diagnosis| diagnosis.code).collect()
}

fn of(seen: &Observation) -> Vec<Diagnosis> {
    diagnose(&installation(&minimal()), seen)
}

/// A workload with every pod ready.
fn healthy(name: &str, pods: i32) -> WorkloadState {
    WorkloadState {
        name: name.to_owned(),
        release: "2.265.0".parse().ok(),
        migrated: "2.265.0".parse().ok(),
        desired: pods,
        replicas: pods,
        updated: pods,
        ready: pods,
        available: pods,
        observed: true,
        ..WorkloadState::default()
    }
}

fn pod(component: &str, problems: Vec<PodProblem>) -> PodSummary {
    PodSummary {
        name: format!("flagsmith-{component}-abc"),
        component: component.to_owned(),
        version: Some("2.265.0".to_owned()),
        phase: "Running".to_owned(),
        ready: problems.is_empty(),
        problems,
        ..PodSummary::default()
    }
}

fn running() -> Observation {
    Observation {
        api: Some(healthy("flagsmith-api", 2)),
        task_processor: Some(healthy("flagsmith-task-processor", 1)),
        frontend: Some(healthy("flagsmith-frontend", 1)),
        pods: ["api", "task-processor", "frontend"]
            .map(|component| pod(component, vec![]))
            .to_vec(),
        database: DatabaseProbe::Reachable {
            version: 150_018,
            read_only: false,
        },
        ..observation()
    }
}

#[test]
fn a_healthy_installation_has_no_diagnosis() {
    assert_eq!(of(&running()), []);
    assert_eq!(of(&observation()), [], "nor one that is about to be made");
}

#[rstest]
#[case(
    SecretState::Missing,
    Code::DatabaseSecretMissing,
    "kubectl -n prod create secret generic db"
)]
#[case(SecretState::KeyMissing { keys: vec!["URL".to_owned()] }, Code::DatabaseSecretKeyMissing, "spec.database.urlFrom")]
#[case(SecretState::Unusable("the value is empty".to_owned()), Code::DatabaseUrlInvalid, "postgresql://")]
#[case(SecretState::Unreadable("secrets \"db\" is forbidden".to_owned()), Code::Forbidden, "the verb get on Secrets")]
fn a_database_secret_that_cannot_be_used(
    #[case] state: SecretState<crate::validate::DatabaseIdentity>,
    #[case] code: Code,
    #[case] remedy: &str,
) {
    let mut seen = observation();
    seen.secrets.database = state.clone();
    seen.secrets.migration_database = state;
    let found = of(&seen);
    assert_eq!(codes(&found), [code]);
    let first = found.first().unwrap();
    assert!(first.message.contains("prod/db"), "{first:?}");
    assert!(first.remedy.contains(remedy), "{first:?}");
    assert_eq!(first.severity, Severity::Critical);
}

#[test]
fn a_generated_secret_is_expected_before_the_first_start_and_a_loss_after_it() {
    let mut seen = observation();
    seen.secrets.django = SecretState::Missing;
    assert_eq!(of(&seen), []);
    let mut seen = running();
    seen.secrets.django = SecretState::Missing;
    let found = of(&seen);
    assert_eq!(codes(&found), [Code::DjangoSecretMissing]);
    assert!(
        found
            .first()
            .unwrap()
            .remedy
            .contains("printenv DJANGO_SECRET_KEY")
    );
}

#[rstest]
#[case::wrong_host(ProbeFailureKind::HostNotFound, Some(Code::DatabaseHostNotFound))]
#[case::wrong_name(ProbeFailureKind::NotFound, Some(Code::DatabaseNotFound))]
#[case::kept_out(ProbeFailureKind::TimedOut, None)]
#[case::no_right_to_read_tasks(ProbeFailureKind::Forbidden, None)]
fn a_separate_database_of_tasks_that_cannot_be_used(
    #[case] kind: ProbeFailureKind,
    #[case] expected: Option<Code>,
) {
    let mut seen = running();
    seen.secrets.task_processor_database = Some(SecretState::Present(database()));
    seen.queues.separate = Some(QueueProbe::Failed(ProbeFailure {
        kind,
        message: "no".to_owned(),
    }));
    let found = of(&seen);
    assert_eq!(codes(&found), expected.into_iter().collect::<Vec<_>>());
    assert!(
        found
            .iter()
            .all(|it| it.remedy.contains("TASK_PROCESSOR_DATABASE_URL")),
        "{found:?}"
    );
    // While the main one cannot be reached either, the operator may be the one who is kept out.
    seen.database = DatabaseProbe::NotProbed;
    assert_eq!(codes(&of(&seen)), []);
}

#[rstest]
#[case(ProbeFailureKind::HostNotFound, Some(Code::DatabaseHostNotFound))]
#[case(ProbeFailureKind::Refused, Some(Code::DatabaseUnreachable))]
#[case(ProbeFailureKind::TimedOut, None)]
#[case(ProbeFailureKind::Authentication, Some(Code::DatabaseAuthenticationFailed))]
#[case(ProbeFailureKind::AccessRejected, Some(Code::DatabaseAccessRejected))]
#[case(ProbeFailureKind::NotFound, Some(Code::DatabaseNotFound))]
#[case(ProbeFailureKind::Starting, Some(Code::DatabaseStarting))]
#[case(
    ProbeFailureKind::TooManyConnections,
    Some(Code::DatabaseConnectionsExhausted)
)]
#[case(ProbeFailureKind::Tls, Some(Code::DatabaseTlsMismatch))]
#[case(
    ProbeFailureKind::PoolerRejectsOptions,
    Some(Code::DatabasePoolerRejectsOptions)
)]
#[case(ProbeFailureKind::Other, Some(Code::DatabaseUnreachable))]
fn a_database_that_does_not_answer_the_operator(#[case] kind: ProbeFailureKind, #[case] code: Option<Code>) {
    let failure = ProbeFailure {
        kind,
        message: "in its own words".to_owned(),
    };
    let mut seen = observation();
    seen.database = DatabaseProbe::Failed(failure.clone());
    let found = of(&seen);
    assert_eq!(codes(&found), Vec::from_iter(code));
    assert!(
        found
            .iter()
            .all(|it| it.evidence.iter().any(|line| line.contains("in its own words"))),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .all(|it| it.code.blocks_migration() == (it.severity == Severity::Critical)),
        "what a Job would fail of too holds it back"
    );

    // What the pods' own readiness check has just written to is not down: only the operator is kept out.
    let mut seen = running();
    seen.database = DatabaseProbe::Failed(failure);
    let expected = code.filter(|code| {
        !matches!(
            code,
            Code::DatabaseHostNotFound | Code::DatabaseUnreachable | Code::DatabaseTlsMismatch
        )
    });
    assert_eq!(codes(&of(&seen)), Vec::from_iter(expected));
}

#[rstest]
#[case(130_014, false, &[Code::DatabaseVersionUnsupported])]
#[case(140_000, false, &[])]
#[case(150_018, true, &[Code::DatabaseReadOnly])]
fn a_database_that_answers(#[case] version: i32, #[case] read_only: bool, #[case] expected: &[Code]) {
    let seen = Observation {
        database: DatabaseProbe::Reachable { version, read_only },
        ..observation()
    };
    assert_eq!(codes(&of(&seen)), expected);
}

#[test]
fn an_embedded_database_is_named_and_its_start_is_no_alarm() {
    let installation = installation(&json!({ "version": "2.265.0", "database": { "embedded": {} } }));
    let found = diagnose(&installation, &observation());
    assert_eq!(
        codes(&found),
        [Code::EmbeddedDatabaseInUse, Code::DatabaseStarting]
    );
    assert!(found.iter().all(|it| it.severity == Severity::Info));
    let up = Observation {
        embedded_database: Some(healthy("flagsmith-database", 1)),
        ..running()
    };
    assert_eq!(
        codes(&diagnose(&installation, &up)),
        [Code::EmbeddedDatabaseInUse]
    );
}

#[rstest]
#[case("2.265.0", &[])]
#[case("2.266.0", &[])]
#[case("2.264.1", &[Code::DowngradeBlocked])]
fn a_release_older_than_the_database(#[case] version: &str, #[case] expected: &[Code]) {
    let installation = installation(&spec(json!({ "version": version })));
    assert_eq!(codes(&diagnose(&installation, &running())), expected);
}

#[test]
fn a_downgrade_is_warned_of_before_it_happens() {
    let spec = |rollback| spec(json!({ "version": "2.260.0", "migrations": { "rollback": rollback } }));
    let unknown = json!({ "from": "2.265.0", "to": "2.260.0" });
    let blocked = diagnose(&installation(&spec(unknown)), &running());
    assert_eq!(codes(&blocked), [Code::DowngradeBlocked]);
    let remedy = &blocked.first().unwrap().remedy;
    assert!(
        remedy.contains("\"rollback\":{\"from\":\"2.265.0\",\"to\":\"2.260.0\",\"appliedAfter\":\"TIME\"}"),
        "{remedy}"
    );
    let known = json!({ "from": "2.265.0", "to": "2.260.0", "appliedAfter": "2026-11-24T03:00:00Z" });
    let warned = diagnose(&installation(&spec(known)), &running());
    assert_eq!(codes(&warned), [Code::RollbackLosesData]);
    assert_eq!(warned.first().unwrap().severity, Severity::Warning);
}

fn failed_job(name: &str, reason: &str) -> JobState {
    JobState {
        name: name.to_owned(),
        key: None,
        release: "2.265.0".parse().ok(),
        outcome: JobOutcome::Failed {
            reason: reason.to_owned(),
            message: "Job has reached it".to_owned(),
        },
        ..JobState::default()
    }
}

fn attempt() -> String {
    let installation = installation(&minimal());
    MigrationKey::migrate(&installation, installation.release, &database())
        .job_name(&installation, MigrationOperation::Migrate)
}

const TRACEBACK: &str = "Applying users.0041_add_onboarding_field...Traceback (most recent call last):
  File \"/x/django/db/backends/utils.py\", line 105, in _execute
psycopg2.errors.InsufficientPrivilege: must be owner of table users_ffadminuser

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
django.db.utils.ProgrammingError: must be owner of table users_ffadminuser
";

#[rstest]
#[case("BackoffLimitExceeded", None, Code::MigrationFailed)]
#[case("BackoffLimitExceeded", Some(TRACEBACK), Code::MigrationPermissionDenied)]
#[case("DeadlineExceeded", None, Code::MigrationDeadlineExceeded)]
fn a_failed_migration(#[case] reason: &str, #[case] message: Option<&str>, #[case] code: Code) {
    let problem = PodProblem::Failed {
        exit_code: 1,
        reason: Some("Error".to_owned()),
        message: message.map(str::to_owned),
    };
    let seen = Observation {
        jobs: vec![failed_job(&attempt(), reason)],
        pods: vec![pod("migrations", vec![problem])],
        ..observation()
    };
    let found = of(&seen);
    assert_eq!(codes(&found), [code]);
    let first = found.first().unwrap();
    assert!(
        first
            .remedy
            .contains("kubectl -n prod annotate fsd flagsmith operator.flagsmith.com/retry-migration="),
        "{first:?}"
    );
    assert!(first.message.contains("Nothing was started"), "{first:?}");
}

#[rstest]
#[case(75, &[Code::MigrationPermissionDenied])]
#[case(1, &[])]
fn only_what_is_tried_again_is_called_so(#[case] exit_code: i32, #[case] expected: &[Code]) {
    let problem = PodProblem::Failed {
        exit_code,
        reason: None,
        message: Some(TRACEBACK.to_owned()),
    };
    let seen = Observation {
        jobs: vec![JobState::default()],
        pods: vec![pod("migrations", vec![problem])],
        ..observation()
    };
    assert_eq!(codes(&of(&seen)), expected);
}

#[test]
fn an_earlier_attempt_does_not_hold_back_the_next() {
    let seen = Observation {
        jobs: vec![failed_job("flagsmith-migrate-before", "BackoffLimitExceeded")],
        ..observation()
    };
    assert_eq!(of(&seen), []);
}

#[test]
fn a_recorded_failure_outlives_its_job() {
    let mut seen = observation();
    seen.previous.migration = Some(MigrationStatus {
        version: "2.265.0".to_owned(),
        result: MigrationResult::Failed,
        job: Some(attempt()),
        ..MigrationStatus::default()
    });
    assert_eq!(codes(&of(&seen)), [Code::MigrationFailed]);
}

#[rstest]
#[case("api", unschedulable(60), Code::PodUnschedulable)]
#[case("migrations", unschedulable(60), Code::MigrationPodUnschedulable)]
#[case("api", waiting("ImagePullBackOff"), Code::ImagePullFailed)]
#[case("migrations", waiting("ErrImagePull"), Code::MigrationImagePullFailed)]
#[case("api", waiting("CreateContainerConfigError"), Code::ContainerConfigError)]
#[case("api", waiting("CreateContainerError"), Code::CrashLooping)]
#[case("task-processor", PodProblem::OutOfMemory { restarts: 2, limit: Some("1Gi".to_owned()) }, Code::ContainerOutOfMemory)]
#[case("migrations", PodProblem::OutOfMemory { restarts: 0, limit: None }, Code::MigrationOutOfMemory)]
#[case("api", PodProblem::CrashLoop { restarts: 7, exit_code: Some(3), reason: None, message: None }, Code::CrashLooping)]
fn a_pod_in_trouble(#[case] component: &str, #[case] problem: PodProblem, #[case] code: Code) {
    let seen = Observation {
        pods: vec![pod(component, vec![problem])],
        ..running()
    };
    let found = of(&seen);
    assert_eq!(codes(&found), [code]);
    assert!(!found.first().unwrap().remedy.is_empty());
}

fn unschedulable(seconds: i64) -> PodProblem {
    let since = observation().now - SignedDuration::from_secs(seconds);
    PodProblem::Unschedulable {
        message: "0/3 nodes".to_owned(),
        since: Some(since),
    }
}

#[test]
fn a_pod_that_waits_for_its_volume_is_no_alarm() {
    let seen = Observation {
        pods: vec![pod("api", vec![unschedulable(5)])],
        ..running()
    };
    assert_eq!(of(&seen), []);
}

fn waiting(reason: &str) -> PodProblem {
    PodProblem::Waiting {
        reason: reason.to_owned(),
        message: "its words".to_owned(),
        image: "x:1".to_owned(),
    }
}

#[test]
fn last_words_are_shown_without_secrets() {
    let message = "OperationalError: connection to postgresql://app:hunter2secret@db/flags failed".to_owned();
    let problem = PodProblem::CrashLoop {
        restarts: 1,
        exit_code: Some(1),
        reason: None,
        message: Some(message),
    };
    let found = of(&Observation {
        pods: vec![pod("api", vec![problem])],
        ..running()
    });
    let shown = format!("{found:?}");
    assert!(
        shown.contains("OperationalError") && !shown.contains("hunter2secret"),
        "{shown}"
    );
}

#[rstest]
#[case(Some("exceeded quota: compute"), None, Code::QuotaExceeded)]
#[case(Some("violates PodSecurity"), None, Code::AdmissionDenied)]
#[case(None, Some("has timed out progressing"), Code::RolloutDeadlineExceeded)]
fn a_deployment_without_its_pods(
    #[case] failure: Option<&str>,
    #[case] stalled: Option<&str>,
    #[case] code: Code,
) {
    let mut seen = running();
    seen.api = Some(WorkloadState {
        replica_failure: failure.map(str::to_owned),
        stalled: stalled.map(str::to_owned),
        ..healthy("flagsmith-api", 2)
    });
    assert_eq!(codes(&of(&seen)), [code]);
}

#[test]
fn a_task_processor_that_is_switched_off() {
    let installation = installation(&spec(json!({ "taskProcessor": { "replicas": 0 } })));
    assert_eq!(
        codes(&diagnose(&installation, &running())),
        [Code::TaskProcessorScaledToZero]
    );
}

#[test]
fn a_route_without_its_api_or_refused_by_its_gateway() {
    let exposure = json!({ "exposure": { "hosts": ["a.example"], "httpRoute": { "parentRefs": [{ "name": "public" }] } } });
    let installation = installation(&spec(exposure));
    let without = Observation {
        http_route_api: false,
        ..running()
    };
    assert_eq!(
        codes(&diagnose(&installation, &without)),
        [Code::HttpRouteApiMissing]
    );
    let refused = Observation {
        exposure: Some(ExposureState::Rejected("NoMatchingListenerHostname".to_owned())),
        ..running()
    };
    let found = diagnose(&installation, &refused);
    assert_eq!(codes(&found), [Code::RouteNotAccepted]);
    assert!(
        found
            .first()
            .unwrap()
            .evidence
            .iter()
            .any(|line| line.contains("NoMatchingListenerHostname"))
    );
    for harmless in [ExposureState::Waiting, ExposureState::Accepted] {
        assert_eq!(
            diagnose(
                &installation,
                &Observation {
                    exposure: Some(harmless),
                    ..running()
                }
            ),
            []
        );
    }
}

#[test]
fn the_worst_comes_first() {
    let installation = installation(&json!({ "version": "2.265.0", "database": { "embedded": {} } }));
    let seen = Observation {
        pods: vec![pod("api", vec![waiting("ErrImagePull")])],
        ..running()
    };
    let found = diagnose(&installation, &seen);
    let severities: Vec<_> = found.iter().map(|it| it.severity).collect();
    assert!(severities.is_sorted(), "{severities:?}");
    assert_eq!(found.first().unwrap().code, Code::ImagePullFailed);
    let different: BTreeSet<_> = found.iter().map(|it| it.code).collect();
    assert_eq!(different.len(), found.len(), "one diagnosis for one cause");
}

/// What a log showed, read by the reader itself.
fn reading(component: Component, pod: &str, run: Run, log: &str) -> LogReading {
    let found = diagnose_log(component, None, &format!("log of pod {pod}"), log.as_bytes());
    LogReading {
        pod: pod.to_owned(),
        container: "flagsmith".to_owned(),
        component,
        run,
        at: observation().now,
        found: found.into_iter().map(|it| (observation().now, it)).collect(),
    }
}

const REFUSED: &str = "2026-11-22T15:40:56.9Z [warning  ] Error was: OperationalError: connection to server at \"10.0.0.9\", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections? [common.core.management.commands.waitfordb]\n2026-11-22T15:41:01.9Z [error    ] Failed to connect to DB within 5 seconds. [common.core.management.commands.waitfordb]\n";

#[test]
fn a_database_that_only_the_pods_log_knows_to_be_down_explains_their_crashes() {
    let crashing = pod(
        "api",
        vec![PodProblem::CrashLoop {
            restarts: 3,
            exit_code: Some(1),
            reason: None,
            message: None,
        }],
    );
    let seen = Observation {
        close_looks: CloseLooks {
            logs: vec![reading(
                Component::Api,
                "flagsmith-api-abc",
                Run::Failed { restarts: 3 },
                REFUSED,
            )],
            warnings: Vec::new(),
        },
        pods: vec![crashing],
        ..running()
    };
    let found = of(&seen);
    assert_eq!(codes(&found), [Code::DatabaseUnreachable], "{found:#?}");
    assert!(
        found[0].evidence[0].starts_with("log of pod flagsmith-api-abc: "),
        "{found:#?}"
    );
    assert!(
        found[0]
            .evidence
            .iter()
            .any(|line| line.starts_with("therefore, api: ")),
        "{found:#?}"
    );
    assert!(found[0].message.contains("10.0.0.9"), "{found:#?}");
}

#[test]
fn what_a_ready_pod_logged_of_a_database_that_works_again_is_over() {
    let sampled = reading(
        Component::Api,
        "flagsmith-api-abc",
        Run::Sample(observation().now),
        REFUSED,
    );
    assert!(!sampled.found.is_empty());
    let seen = Observation {
        close_looks: CloseLooks {
            logs: vec![sampled],
            warnings: Vec::new(),
        },
        ..running()
    };
    assert_eq!(of(&seen), []);
}

/// Whoever looks once reads ten minutes of a log.
#[rstest]
#[case::a_moment_ago(10, 1)]
#[case::minutes_ago(300, 0)]
fn a_connection_that_was_lost_and_had_again(#[case] seconds: i64, #[case] expected: usize) {
    let lost = "2026-11-22T15:40:56.9Z [error    ] Error handling tasks from database 'default': django.db.utils.OperationalError('server closed the connection unexpectedly') [task_processor.threads]\n";
    let mut sampled = reading(
        Component::TaskProcessor,
        "flagsmith-task-processor-abc",
        Run::Sample(observation().now),
        &lost.repeat(3),
    );
    for (last, _) in &mut sampled.found {
        *last = observation().now - SignedDuration::from_secs(seconds);
    }
    let found = of(&Observation {
        close_looks: CloseLooks {
            logs: vec![sampled],
            warnings: Vec::new(),
        },
        ..running()
    });
    assert_eq!(found.len(), expected, "{found:#?}");
    for diagnosis in &found {
        assert_eq!(diagnosis.code, Code::DatabaseConnectionLost);
        assert_eq!(diagnosis.evidence.len(), 1, "{diagnosis:#?}");
    }
}

#[test]
fn a_worker_that_is_killed_in_a_ready_pod_is_a_warning() {
    let killed = "2026-11-22T15:40:56.9Z [error    ] Worker (pid:24526) was sent SIGKILL! Perhaps out of memory? [gunicorn.error]\n";
    let seen = Observation {
        close_looks: CloseLooks {
            logs: vec![reading(
                Component::Api,
                "flagsmith-api-abc",
                Run::Sample(observation().now),
                killed,
            )],
            warnings: Vec::new(),
        },
        ..running()
    };
    let found = of(&seen);
    assert_eq!(codes(&found), [Code::GunicornWorkerOutOfMemory]);
    assert_eq!(found[0].severity, Severity::Warning);
}

#[test]
fn whether_tasks_wait_is_for_the_task_tables_to_say() {
    let hanging = "2026-11-22T15:40:56.9Z [warning  ] 3 unhealthy threads detected [task_processor.thread_monitoring]\n".repeat(60);
    let mut seen = Observation {
        close_looks: CloseLooks {
            logs: vec![reading(
                Component::TaskProcessor,
                "flagsmith-task-processor-abc",
                Run::Sample(observation().now),
                &hanging,
            )],
            warnings: Vec::new(),
        },
        ..running()
    };
    seen.queues.default = QueueProbe::NotProbed;
    assert_eq!(codes(&of(&seen)), [Code::TaskQueueStalled]);
    seen.queues.default = QueueProbe::Seen(Box::default());
    assert!(!codes(&of(&seen)).contains(&Code::TaskQueueStalled));
}

#[test]
fn a_processor_that_has_migrated_and_serves_is_a_note() {
    let migrated = "Operations to perform:\n  Apply all migrations: auth\nRunning migrations:\n  Applying auth.0001_initial... OK\n";
    let seen = Observation {
        close_looks: CloseLooks {
            logs: vec![reading(
                Component::TaskProcessor,
                "flagsmith-task-processor-abc",
                Run::Sample(observation().now),
                migrated,
            )],
            warnings: Vec::new(),
        },
        ..running()
    };
    let found = of(&seen);
    assert_eq!(codes(&found), [Code::TaskProcessorMigratesItself]);
    assert_eq!(found[0].severity, Severity::Info);
}

#[rstest]
#[case::not_answering(
    "Readiness probe failed: HTTP probe failed with statuscode: 500",
    0,
    60,
    Some(Code::ProbeFailing)
)]
#[case::still_starting("Startup probe failed: connection refused", 0, 20, None)]
#[case::killed(
    "Liveness probe failed: context deadline exceeded",
    2,
    20,
    Some(Code::LivenessProbeKilling)
)]
#[case::about_to_be_killed(
    "Liveness probe failed: context deadline exceeded",
    0,
    60,
    Some(Code::ProbeFailing)
)]
fn probes_that_fail(
    #[case] message: &str,
    #[case] restarts: i32,
    #[case] age: i64,
    #[case] expected: Option<Code>,
) {
    let mut unready = pod("api", vec![]);
    unready.ready = false;
    unready.containers = vec![ContainerRun {
        name: "flagsmith".to_owned(),
        init: false,
        restarts,
        running_since: Some(observation().now - SignedDuration::from_secs(age)),
        failed: None,
        ready: false,
    }];
    let seen = Observation {
        close_looks: CloseLooks {
            logs: Vec::new(),
            warnings: vec![Warning {
                pod: unready.name.clone(),
                reason: "Unhealthy".to_owned(),
                message: message.to_owned(),
            }],
        },
        pods: vec![unready],
        ..running()
    };
    let found = of(&seen);
    assert_eq!(codes(&found).first().copied(), expected, "{found:#?}");
    for diagnosis in &found {
        assert!(diagnosis.evidence[0].contains(message), "{found:#?}");
    }
}
