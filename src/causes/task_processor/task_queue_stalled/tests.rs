use rstest::rstest;

use crate::{
    causes::{
        diagnose_log,
        log::{failure::Stage, testing::recognise},
        task_processor::shared::testing::{
            HOSTILE, NOW, STARTS, UP, assert_harmless, codes, found, lock, processor, recurring, seconds,
            silent, with_queue,
        },
    },
    model::{Code, Component},
    observe::{
        Observation,
        database::{Blocker, Recurring},
    },
};

#[test]
fn recognises() {
    let said = "unknown error: Task processor is unable to process tasks.";
    let (code, details) = recognise(Stage::Serve, "", said).unwrap();
    assert_eq!((code, details.object), (Code::TaskQueueStalled, None));
}

const THREAD: &str =
    "  File \"/usr/lib/python3.11/threading.py\", line 1038, in _bootstrap_inner\n    self.run()\n";
const START: &str = "  File \"/x/task_processor/task_registry.py\", line 38, in initialise\n    f()\n";
const LOST: &str = "psycopg2.OperationalError: server closed the connection unexpectedly\n";
const DENIED: &str = "psycopg2.errors.InsufficientPrivilege: permission denied for table x\n";

fn ended(frame: &str, exception: &str, after: &str) -> Vec<crate::model::Diagnosis> {
    let log = format!(
        "Exception in thread Thread-1:\nTraceback (most recent call last):\n{THREAD}{frame}{exception}\n{UP}{after}"
    );
    diagnose_log(Component::TaskProcessor, None, "log", log.as_bytes())
        .into_iter()
        .map(|(_, diagnosis)| diagnosis)
        .collect()
}

/// The same exception in the coordinator, in another thread, before a start that went well, and of a reason
/// that lasts.
#[rstest]
#[case(START, LOST, "", &[Code::TaskQueueStalled])]
#[case("", LOST, "", &[Code::DatabaseConnectionLost])]
#[case(START, LOST, STARTS, &[Code::DatabaseConnectionLost])]
#[case(START, DENIED, "", &[Code::DatabaseAccessRejected])]
fn the_coordinators_end_is_told(
    #[case] frame: &str,
    #[case] exception: &str,
    #[case] after: &str,
    #[case] expected: &[Code],
) {
    let codes: Vec<Code> = ended(frame, exception, after).iter().map(|it| it.code).collect();
    assert_eq!(codes, expected);
}

/// Whatever ended it: of a cause that lasts, restarting is the second step; of one that has passed, the only one.
#[test]
fn a_cause_that_lasts_is_remedied_before_the_restart() {
    let remedy = |found: Vec<crate::model::Diagnosis>| {
        found
            .into_iter()
            .map(|it| it.remedy.to_string())
            .collect::<String>()
    };
    let missing =
        "psycopg2.errors.UndefinedTable: relation \"task_processor_recurringtask\" does not exist\n";
    for lasting in [DENIED, missing] {
        let remedy = remedy(ended(START, lasting, ""));
        assert!(remedy.contains(" Then restart the task processor"), "{remedy}");
    }
    let passed = remedy(ended(START, LOST, ""));
    assert!(passed.starts_with("Restart the task processor"), "{passed}");
    let elsewhere = remedy(ended("", DENIED, ""));
    assert!(!elsewhere.contains("restart the task processor"), "{elsewhere}");
}

/// The health check finds the queue stalled; the coordinator's end says why.
#[test]
fn the_end_is_said_before_what_the_health_check_found() {
    let check = "2026-11-22T16:01:09.000000Z [error    ] unknown error: Task processor is unable to process tasks. [health-check] positional_args=()\n";
    let found = ended(START, LOST, check);
    let said: Vec<_> = found.iter().map(|it| (it.code, it.message.as_str())).collect();
    assert!(
        matches!(said.as_slice(), [(Code::TaskQueueStalled, message)] if message.contains("runs no task")),
        "{said:?}"
    );
}

#[test]
fn a_silent_processor_is_one_diagnosis_with_who_blocks_it() {
    let stalled = with_queue(|queue| {
        silent(queue);
        queue.blockers = vec![Blocker {
            pid: 4711,
            application: "psql".to_owned(),
            state: "idle in transaction".to_owned(),
            waiting: 5,
        }];
    });
    let found = found(&stalled);
    assert_eq!(codes(&stalled), [Code::TaskQueueStalled], "{found:?}");
    let first = found.first().unwrap();
    assert!(first.remedy.contains("pg_terminate_backend(4711)"), "{first:?}");
    assert!(
        first
            .evidence
            .iter()
            .any(|line| line.contains("more than 2,000 tasks ready, the oldest for more than 10 minutes")),
        "{first:?}"
    );
    assert!(
        first
            .evidence
            .iter()
            .any(|line| line.contains("pid 4711, application \"psql\", idle in transaction")),
        "{first:?}"
    );
}

#[rstest]
#[case::it_has_just_started(with_queue(silent), NOW - 20)]
#[case::every_thread_has_a_batch(with_queue(|queue| {
    silent(queue);
    queue.locked = 50;
    queue.locks = (0..50).map(|id| lock(id, 99_900 + id / 10, 60)).collect();
}), 0)]
#[case::every_recurring_task_is_being_run(with_queue(|queue| {
    queue.recurring = Some(vec![Recurring { locked: true, ..recurring("tasks.refresh", 840) }]);
}), 0)]
#[case::nothing_is_registered_and_nothing_waits(with_queue(|queue| queue.recurring = Some(Vec::new())), 0)]
#[case::it_sleeps_for_long(with_queue(|queue| queue.recurring = Some(vec![recurring("tasks.refresh", 59)])), 0)]
fn a_silence_that_is_none(#[case] mut observation: Observation, #[case] started: i64) {
    observation.pods = vec![processor(started)];
    assert_eq!(found(&observation), []);
}

#[test]
fn without_recurring_tasks_the_queue_itself_tells() {
    let stalled = with_queue(|queue| {
        silent(queue);
        queue.recurring = Some(Vec::new());
        queue.runs = Vec::new();
    });
    assert_eq!(codes(&stalled), [Code::TaskQueueStalled]);
}

/// What grows because no processor works on it has one cause.
#[test]
fn a_stalled_queue_that_grows_is_one_diagnosis() {
    let stalled = with_queue(|queue| {
        silent(queue);
        for (sample, ready) in queue.before.iter_mut().zip([1_000, 2_000]) {
            (sample.ready, sample.oldest_ready) = (ready, Some(seconds(700)));
        }
    });
    assert_eq!(codes(&stalled), [Code::TaskQueueStalled]);
    let evidence = found(&stalled).swap_remove(0).evidence;
    assert!(
        evidence
            .iter()
            .any(|line| line.starts_with("therefore, task-processor: Tasks are queued faster")),
        "{evidence:?}"
    );
}

#[test]
fn a_hostile_name_is_not_repeated_in_a_command() {
    for hostile in HOSTILE {
        let mut stalled = with_queue(silent);
        stalled.task_processor.as_mut().unwrap().name = (*hostile).to_owned();
        assert_harmless(&found(&stalled).swap_remove(0).remedy, "");
    }
}
