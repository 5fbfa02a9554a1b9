//! What pods' logs say beside what is seen of them.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use super::{codes, of, pod, running};
use crate::causes::{diagnose, task_processor::shared::testing::with_queue};
use crate::fixtures::{empty_observation, installation, spec};
use crate::observe::database::QueueProbe;
use crate::observe::{
    ContainerRun, DatabaseProbe, LogFinding, LogReading, Observation, PodLogFindings, PodProblem,
    ProbeFailure, ProbeFailureKind, Run, Warning,
};
use crate::{
    causes::diagnose_log,
    model::{Code, Component, Severity},
};

/// What a log showed, read by the reader itself.
fn reading(component: Component, pod: &str, run: Run, log: &str) -> LogReading {
    let now = empty_observation().now;
    let found = diagnose_log(component, None, &format!("log of pod {pod}"), log.as_bytes()).into_iter().map(
        |(_, diagnosis)| LogFinding {
            read: now,
            happened: now,
            of_connection: diagnosis.code.cause().is_connection,
            diagnosis,
        },
    );
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
            sidecar: None,
            restarts: 3,
            exit_code: Some(1),
            reason: None,
            message: None,
        }],
    );
    let observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![reading(Component::Api, "flagsmith-api-abc", Run::Failed { restarts: 3 }, REFUSED)],
            warnings: Vec::new(),
        },
        pods: vec![crashing],
        ..running()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [Code::DatabaseUnreachable], "{found:#?}");
    assert!(found[0].evidence[0].starts_with("log of pod flagsmith-api-abc: "), "{found:#?}");
    assert!(found[0].evidence.iter().any(|line| line.starts_with("therefore, api: ")), "{found:#?}");
    assert!(found[0].message.contains("10.0.0.9"), "{found:#?}");
}

#[rstest]
#[case::namespace(
    "could not translate host name \"db\" to address: Name or service not known",
    Code::DatabaseHostNotFound,
    "kubectl -n prod run lookup"
)]
#[case::pod(
    "OSError: [Errno 24] Too many open files",
    Code::FileDescriptorLimit,
    "kubectl -n prod exec flagsmith-api-abc -- sh"
)]
fn commands_name_the_pod_whose_log_it_is(#[case] says: &str, #[case] code: Code, #[case] expected: &str) {
    let log = format!(
        "2026-11-22T15:41:01.9Z [error    ] Exception in worker process [gunicorn.error]\nTraceback (most recent call last):\n  File \"/x.py\", line 1, in f\n    f()\n{}{says}\n",
        if says.starts_with("OSError") { "" } else { "django.db.utils.OperationalError: " }
    );
    let logs = vec![reading(Component::Api, "flagsmith-api-abc", Run::Failed { restarts: 1 }, &log)];
    let mut observation = running();
    observation.pod_logs = PodLogFindings { logs, warnings: Vec::new() };
    let found = of(&observation);
    assert_eq!(found[0].code, code, "{found:#?}");
    assert!(found[0].remedy.contains(expected), "{found:#?}");
}

#[test]
fn what_a_ready_pod_logged_of_a_database_that_works_again_is_over() {
    let sampled = reading(Component::Api, "flagsmith-api-abc", Run::Sample(empty_observation().now), REFUSED);
    assert!(!sampled.found.is_empty());
    let observation =
        Observation { pod_logs: PodLogFindings { logs: vec![sampled], warnings: Vec::new() }, ..running() };
    assert_eq!(of(&observation), []);
}

#[test]
fn what_ended_the_run_before_is_history_where_the_present_one_says_what_is_wrong() {
    let missing = REFUSED.replace("Connection refused", "FATAL:  database \"flagsmiht\" does not exist");
    let read = |run, text: &str| reading(Component::Api, "flagsmith-api-abc", run, text);
    let mut unready = pod("api", Vec::new());
    unready.ready = false;
    let mut observation = Observation {
        pod_logs: PodLogFindings {
            logs: vec![read(Run::Failed { restarts: 1 }, &missing), read(Run::Unready, REFUSED)],
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
#[case::of_another_trouble(Run::Unready, READ_ONLY, 300, None)]
#[case::writes_are_not_taken(Run::Sample(empty_observation().now), READ_ONLY, 10, Some(Code::DatabaseReadOnly))]
#[case::what_it_died_of(Run::Failed { restarts: 0 }, REFUSED, 300, Some(Code::DatabaseUnreachable))]
fn what_a_log_says_of_an_outage_counts_while_it_may_last(
    #[case] run: Run,
    #[case] log: &str,
    #[case] seconds: i64,
    #[case] expected: Option<Code>,
) {
    let mut read = reading(Component::TaskProcessor, "flagsmith-task-processor-abc", run, &log.repeat(3));
    for finding in &mut read.found {
        finding.happened = empty_observation().now - SignedDuration::from_secs(seconds);
    }
    let found =
        of(&Observation { pod_logs: PodLogFindings { logs: vec![read], warnings: Vec::new() }, ..running() });
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
    let found =
        of(&Observation { pod_logs: PodLogFindings { logs: vec![read], warnings: Vec::new() }, ..running() });
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

/// What an earlier outage left in a log is not said beside a new one of another kind.
#[test]
fn an_earlier_outage_is_not_said_beside_a_new_one() {
    let mut unready = pod("api", Vec::new());
    unready.ready = false;
    for run in [Run::Unready, Run::Sample(empty_observation().now)] {
        let mut read = reading(Component::Api, "flagsmith-api-abc", run, REFUSED);
        for finding in &mut read.found {
            finding.happened = empty_observation().now - SignedDuration::from_mins(5);
        }
        let found = of(&Observation {
            pod_logs: PodLogFindings { logs: vec![read], warnings: Vec::new() },
            pods: vec![unready.clone()],
            database: DatabaseProbe::Failed(ProbeFailure {
                kind: ProbeFailureKind::Starting,
                message: "the database system is starting up".to_owned(),
            }),
            ..running()
        });
        assert_eq!(codes(&found), [Code::DatabaseStarting], "{found:#?}");
        assert!(!format!("{found:?}").contains("10.0.0.9"), "{found:#?}");
    }
}

const FULL: &str = "2026-11-22T15:40:56.9Z [error    ] Internal Server Error: /api/v1/flags/ [django.request]\nTraceback (most recent call last):\n  File \"/x/y.py\", line 1, in f\npsycopg2.OperationalError: connection to server at \"10.0.0.9\", port 5432 failed: FATAL:  sorry, too many clients already\n";

/// Whichever pod is sampled last, and whichever shows it at the moment.
#[test]
fn one_trouble_of_the_database_is_one_diagnosis_over_all_pods() {
    let sample = |component, pod: &str| reading(component, pod, Run::Sample(empty_observation().now), FULL);
    let api = || sample(Component::Api, "flagsmith-api-abc");
    let processor = || sample(Component::TaskProcessor, "flagsmith-task-processor-abc");
    let other = || sample(Component::Api, "flagsmith-api-xyz");
    let told = |logs: Vec<LogReading>| {
        let found = of(&Observation { pod_logs: PodLogFindings { logs, warnings: Vec::new() }, ..running() });
        let told: Vec<_> = found.iter().map(|it| (it.code, it.severity, it.component)).collect();
        assert_eq!(
            told,
            [(Code::DatabaseConnectionsExhausted, Severity::Warning, Component::Database)],
            "{found:#?}"
        );
        found
    };
    told(vec![api()]);
    told(vec![processor()]);
    let ordered = told(vec![api(), other(), processor()]);
    assert_eq!(ordered, told(vec![processor(), other(), api()]));
    assert_eq!(ordered[0].evidence.len(), 3, "{ordered:#?}");
}

/// The next sample of the same pod shows it no more.
#[test]
fn what_is_over_is_told_with_its_time() {
    let now = empty_observation().now;
    let slow = "2026-11-22T15:40:56.9Z [critical ] WORKER TIMEOUT (pid:24526) [gunicorn.error]\n";
    let told = |read: i64, happened: i64| {
        let mut log = reading(Component::Api, "flagsmith-api-abc", Run::Sample(now), slow);
        for finding in &mut log.found {
            finding.read = now - SignedDuration::from_secs(read);
            finding.happened = now - SignedDuration::from_secs(happened);
        }
        let found = of(&Observation {
            pod_logs: PodLogFindings { logs: vec![log], warnings: Vec::new() },
            ..running()
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].message.to_string()
    };
    let present = told(0, 20);
    assert!(!present.contains("last seen"), "{present}");
    let time = (now - SignedDuration::from_secs(70)).strftime("%H:%M:%SZ").to_string();
    for over in [told(55, 70), told(0, 130)] {
        assert!(over.ends_with(&present) && over.starts_with("Last seen at "), "{over}");
    }
    assert!(told(55, 70).contains(&time), "{time}");
}

/// From the moment a release's migrations are undone its pods miss them, until others take their place.
#[rstest]
#[case::of_a_rollback(json!({ "version": "2.260.0", "migrations": { "rollback": { "from": "2.265.0", "to": "2.260.0" } } }), &[])]
#[case::of_the_wanted_release(json!({}), &[Code::MigrationsPending])]
fn what_the_operator_undoes_is_no_trouble_of_its_pods(#[case] changes: Value, #[case] expected: &[Code]) {
    let now = empty_observation().now;
    let mut unready = pod("api", Vec::new());
    unready.ready = false;
    unready.version = Some("2.265.0".to_owned());
    unready.containers = vec![ContainerRun {
        name: "flagsmith".to_owned(),
        init: false,
        sidecar: false,
        restarts: 0,
        running_since: Some(now - SignedDuration::from_mins(5)),
        failed: None,
        ready: false,
    }];
    let missing =
        "2026-11-22T15:40:56.9Z [error    ] unavailable: There are migrations to apply [health-check]\n";
    let read = reading(Component::Api, &unready.name, Run::Unready, missing);
    assert!(!read.found.is_empty());
    let warning = Warning {
        pod: unready.name.clone(),
        reason: "Unhealthy".to_owned(),
        message: "Readiness probe failed: HTTP probe failed with statuscode: 500".to_owned(),
    };
    let observation = Observation {
        pod_logs: PodLogFindings { logs: vec![read], warnings: vec![warning] },
        pods: vec![unready],
        ..running()
    };
    let of_pods = [Code::MigrationsPending, Code::ProbeFailing];
    let found = diagnose(&installation(&spec(changes)), &observation);
    let found = found.into_iter().filter(|it| of_pods.contains(&it.code));
    assert_eq!(codes(&found.collect::<Vec<_>>()), expected);
}

/// The pod that takes its place says what is wrong now.
#[test]
fn what_a_pod_said_that_is_being_replaced_is_over() {
    let mut unready = pod("api", Vec::new());
    unready.ready = false;
    let read = reading(Component::Api, &unready.name, Run::Unready, REFUSED);
    let mut observation = Observation {
        pod_logs: PodLogFindings { logs: vec![read], warnings: Vec::new() },
        pods: vec![unready],
        ..running()
    };
    assert_eq!(codes(&of(&observation)), [Code::DatabaseUnreachable]);
    observation.pods[0].terminating = true;
    assert_eq!(codes(&of(&observation)), []);
}

const SWITCHED_OFF: &str = "2026-11-22T15:40:56.9Z [error    ] Recurring task 'tasks.clean_up_old_tasks' auto-disabled after 4 consecutive failures [task_processor.processor]\n";

/// The tables tell what is off, also when somebody has switched it on again since.
#[test]
fn a_recurring_task_that_is_on_again_is_over() {
    let pod = "flagsmith-task-processor-abc";
    let read = reading(Component::TaskProcessor, pod, Run::Sample(empty_observation().now), SWITCHED_OFF);
    let mut observation =
        Observation { pod_logs: PodLogFindings { logs: vec![read], warnings: Vec::new() }, ..running() };
    assert_eq!(codes(&of(&observation)), [Code::RecurringTasksDisabled]);
    let seen = with_queue(|queue| queue.recurring = Some(Vec::new()));
    observation.queues = seen.queues;
    assert!(!codes(&of(&observation)).contains(&Code::RecurringTasksDisabled));
}
