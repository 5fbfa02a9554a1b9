//! What pods' logs say beside what is seen of them.

use jiff::SignedDuration;
use rstest::rstest;

use super::{codes, of, pod, running};
use crate::fixtures::empty_observation;
use crate::observe::database::QueueProbe;
use crate::observe::{LogFinding, LogReading, Observation, PodLogFindings, PodProblem, Run};
use crate::{
    causes::diagnose_log,
    model::{Code, Component, Severity},
};

/// What a log showed, read by the reader itself.
fn reading(component: Component, pod: &str, run: Run, log: &str) -> LogReading {
    let now = empty_observation().now;
    let found = diagnose_log(component, None, &format!("log of pod {pod}"), log.as_bytes())
        .into_iter()
        .map(|(_, diagnosis)| LogFinding {
            read: now,
            happened: now,
            of_connection: diagnosis.code.cause().is_connection,
            diagnosis,
        });
    LogReading {
        pod: pod.to_owned(),
        container: "flagsmith".to_owned(),
        component,
        run,
        at: now,
        found: found.collect(),
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
    let observation = Observation {
        pod_logs: PodLogFindings {
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
    let found = of(&observation);
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
        Run::Sample(empty_observation().now),
        REFUSED,
    );
    assert!(!sampled.found.is_empty());
    let observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![sampled],
            warnings: Vec::new(),
        },
        ..running()
    };
    assert_eq!(of(&observation), []);
}

#[test]
fn what_ended_the_run_before_is_history_where_the_present_one_says_what_is_wrong() {
    let missing = REFUSED.replace(
        "Connection refused",
        "FATAL:  database \"flagsmiht\" does not exist",
    );
    let read = |run, text: &str| reading(Component::Api, "flagsmith-api-abc", run, text);
    let mut unready = pod("api", Vec::new());
    unready.ready = false;
    let mut observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![
                read(Run::Failed { restarts: 1 }, &missing),
                read(Run::Unready, REFUSED),
            ],
            warnings: Vec::new(),
        },
        pods: vec![unready],
        ..running()
    };
    assert_eq!(codes(&of(&observation)), [Code::DatabaseUnreachable]);
    observation.pod_logs.logs.truncate(1);
    assert_eq!(codes(&of(&observation)), [Code::DatabaseNotFound]);
}

const LOST: &str = "2026-11-22T15:40:56.9Z [error    ] Error handling tasks from database 'default': django.db.utils.OperationalError('server closed the connection unexpectedly') [task_processor.threads]\n";

const READ_ONLY: &str = "2026-11-22T15:40:56.9Z [error    ] Error handling tasks from database 'default': django.db.utils.InternalError('cannot execute SELECT FOR UPDATE in a read-only transaction') [task_processor.threads]\n";

/// Whoever looks once reads ten minutes of a ready pod's log, and all of another's.
#[rstest]
#[case::had_again_a_moment_ago(Run::Sample(empty_observation().now), LOST, 10, Some(Code::DatabaseConnectionLost))]
#[case::had_again_minutes_ago(Run::Sample(empty_observation().now), LOST, 300, None)]
#[case::not_had_again(Run::Unready, REFUSED, 10, Some(Code::DatabaseUnreachable))]
#[case::an_outage_before_another_trouble(Run::Unready, REFUSED, 300, None)]
#[case::writes_are_taken_again(Run::Sample(empty_observation().now), READ_ONLY, 300, None)]
#[case::writes_are_not_taken(Run::Sample(empty_observation().now), READ_ONLY, 10, Some(Code::DatabaseReadOnly))]
#[case::what_it_died_of(Run::Failed { restarts: 0 }, REFUSED, 300, Some(Code::DatabaseUnreachable))]
fn what_a_log_says_of_an_outage_counts_while_it_may_last(
    #[case] run: Run,
    #[case] log: &str,
    #[case] seconds: i64,
    #[case] expected: Option<Code>,
) {
    let mut read = reading(
        Component::TaskProcessor,
        "flagsmith-task-processor-abc",
        run,
        &log.repeat(3),
    );
    for finding in &mut read.found {
        finding.happened = empty_observation().now - SignedDuration::from_secs(seconds);
    }
    let found = of(&Observation {
        pod_logs: PodLogFindings {
            logs: vec![read],
            warnings: Vec::new(),
        },
        ..running()
    });
    assert_eq!(codes(&found), Vec::from_iter(expected), "{found:#?}");
}

#[test]
fn the_same_words_are_one_piece_of_evidence() {
    let log = LOST.repeat(3);
    let read = reading(
        Component::TaskProcessor,
        "flagsmith-task-processor-abc",
        Run::Sample(empty_observation().now),
        &log,
    );
    let found = of(&Observation {
        pod_logs: PodLogFindings {
            logs: vec![read],
            warnings: Vec::new(),
        },
        ..running()
    });
    assert_eq!(codes(&found), [Code::DatabaseConnectionLost]);
    assert_eq!(found[0].evidence.len(), 1, "{found:#?}");
}

#[test]
fn a_worker_that_is_killed_in_a_ready_pod_is_a_warning() {
    let killed = "2026-11-22T15:40:56.9Z [error    ] Worker (pid:24526) was sent SIGKILL! Perhaps out of memory? [gunicorn.error]\n";
    let observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![reading(
                Component::Api,
                "flagsmith-api-abc",
                Run::Sample(empty_observation().now),
                killed,
            )],
            warnings: Vec::new(),
        },
        ..running()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [Code::GunicornWorkerOutOfMemory]);
    assert_eq!(found[0].severity, Severity::Warning);
}

const HANGING: &str =
    "2026-11-22T15:40:56.9Z [warning  ] 3 unhealthy threads detected [task_processor.thread_monitoring]\n";
const FAILING: &str = include_str!("../../../tests/fixtures/logs/tp-failing.log");

#[rstest]
#[case::waits(HANGING, Code::TaskQueueStalled)]
#[case::fails(FAILING, Code::TasksFailing)]
fn what_becomes_of_tasks_is_for_the_task_tables_to_say(#[case] line: &str, #[case] code: Code) {
    let log = line.repeat(60);
    let mut observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![reading(
                Component::TaskProcessor,
                "flagsmith-task-processor-abc",
                Run::Sample(empty_observation().now),
                &log,
            )],
            warnings: Vec::new(),
        },
        ..running()
    };
    observation.queues.default = QueueProbe::NotProbed;
    assert_eq!(codes(&of(&observation)), [code]);
    observation.queues.default = QueueProbe::Seen(Box::default());
    assert!(!codes(&of(&observation)).contains(&code));
}

#[test]
fn a_ready_pod_has_found_every_migration() {
    let log =
        "2026-11-22T15:40:56.9Z [warning  ] unavailable: There are migrations to apply [health-check]\n"
            .repeat(5);
    let of_run = |run| Observation {
        pod_logs: PodLogFindings {
            logs: vec![reading(Component::Api, "flagsmith-api-abc", run, &log)],
            warnings: Vec::new(),
        },
        ..running()
    };
    let pending = |run| codes(&of(&of_run(run))).contains(&Code::MigrationsPending);
    assert!(pending(Run::Unready));
    assert!(!pending(Run::Sample(empty_observation().now)));
}

#[test]
fn a_processor_that_has_migrated_and_serves_is_a_note() {
    let migrated = "Operations to perform:\n  Apply all migrations: auth\nRunning migrations:\n  Applying auth.0001_initial... OK\n";
    let observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![reading(
                Component::TaskProcessor,
                "flagsmith-task-processor-abc",
                Run::Sample(empty_observation().now),
                migrated,
            )],
            warnings: Vec::new(),
        },
        ..running()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [Code::TaskProcessorMigratesItself]);
    assert_eq!(found[0].severity, Severity::Info);
}
