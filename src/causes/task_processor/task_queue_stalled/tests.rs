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
        found.into_iter().map(|it| it.remedy.to_string()).collect::<String>()
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
            user: "deploy".to_owned(),
            open: Some(seconds(400)),
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
            .any(|line| line.contains("pid 4711, application \"psql\", idle in transaction, role \"deploy\", in a transaction open for more than 5 minutes")),
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

/// One second after the other, looks once a minute, each used until the next: an outage of the processor, however long
/// it was and whenever the looks fall, and a database that was restored from a dump of yesterday under a processor that
/// runs. What is left behind is nobody's silence; a real one is named within a minute and the interval of the looks.
mod over_time {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        causes::task_processor::shared::testing::{at, queue},
        observe::database::{QueueProbe, Queues, Sample},
    };

    /// Seconds between two looks of the operator.
    const INTERVAL: i64 = 60;
    /// Seconds that a processor takes from its start to its first look at the queue.
    const STARTS_IN: i64 = 10;

    /// What is told at each second of five minutes after a processor was started, of which the last pick-up is told by
    /// `picked` at each second.
    fn told(first_look: i64, ready_after: i64, picked: impl Fn(i64) -> i64) -> Vec<(i64, Vec<Code>)> {
        let mut pod = processor(NOW);
        pod.ready_since = Some(at(NOW + ready_after));
        let mut look = None;
        let mut before: Vec<Sample> = Vec::new();
        (NOW..NOW + 300)
            .map(|now| {
                pod.ready = now >= NOW + ready_after;
                if now >= NOW + first_look && (now - NOW - first_look) % INTERVAL == 0 {
                    let mut seen = queue(now, 100_000 + now);
                    seen.recurring = Some(vec![recurring("tasks.refresh", now - picked(now))]);
                    seen.before = before.clone();
                    before.push(Sample {
                        at: seen.at,
                        xid: seen.xid,
                        picked: seen.picked(),
                        ..Sample::default()
                    });
                    look = Some(seen);
                }
                let observation = Observation {
                    now: at(now),
                    pods: vec![pod.clone()],
                    queues: Queues {
                        default: look
                            .clone()
                            .map_or(QueueProbe::NotProbed, |seen| QueueProbe::Seen(Box::new(seen))),
                        separate: None,
                        held: None,
                    },
                    ..with_queue(|_| {})
                };
                (now - NOW, codes(&observation))
            })
            .collect()
    }

    proptest! {
        // Each case is five minutes of looks.
        #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

        #[test]
        fn an_outage_before_the_start_is_not_its_silence(
            down in 0_i64..100_000,
            first_look in 0_i64..INTERVAL,
            ready_after in STARTS_IN..120,
        ) {
            let picked = |now: i64| if now < NOW + ready_after { NOW - down } else { now };
            for (second, codes) in told(first_look, ready_after, picked) {
                prop_assert_eq!(codes, [], "{} s after the start", second);
            }
        }

        #[test]
        fn what_was_restored_is_not_its_silence(age in 100_i64..1_000_000, first_look in 0_i64..INTERVAL) {
            // It looks for work again one second after the tables are those of the dump, where a look falls between.
            let restored = NOW + first_look + 3 * INTERVAL;
            let picked = |now: i64| if now == restored { now - age } else { now };
            for (second, codes) in told(first_look, STARTS_IN, picked) {
                prop_assert_eq!(codes, [], "{} s after the start", second);
            }
        }

        #[test]
        fn a_processor_that_never_looks_is_named(first_look in 0_i64..INTERVAL) {
            let named = told(first_look, STARTS_IN, |_| NOW - 840);
            let first = named.iter().find(|(_, codes)| !codes.is_empty());
            prop_assert!(
                first.is_some_and(|(second, _)| *second <= STARTS_IN + 62 + INTERVAL),
                "{:?}", first
            );
        }
    }
}

/// The setting has been changed and the pod has not been replaced yet: it works as it was told to at its start.
#[rstest]
#[case::slept_for_long(Some(60_000), 100, &[])]
#[case::slept_for_long_and_is_silent(Some(60_000), 200, &[Code::TaskQueueStalled])]
#[case::as_it_is_set_now(None, 100, &[Code::TaskQueueStalled])]
fn a_pod_is_held_to_what_it_was_started_with(
    #[case] sleep: Option<i32>,
    #[case] heartbeat: i64,
    #[case] expected: &[Code],
) {
    let mut observation =
        with_queue(|queue| queue.recurring = Some(vec![recurring("tasks.refresh", heartbeat)]));
    observation.pods = vec![processor(0)];
    observation.pods[0].pace.sleep = sleep;
    assert_eq!(codes(&observation), expected);
}

/// Both threads of the old pod are busy; that the next will have more does not make it silent.
#[test]
fn a_pod_is_held_to_the_threads_that_it_has() {
    let mut observation = with_queue(|queue| {
        silent(queue);
        queue.locked = 2;
        queue.locks = vec![lock(1, 99_900, 60), lock(2, 99_901, 60)];
    });
    observation.pods = vec![processor(0)];
    observation.pods[0].pace.threads = Some(2);
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
        evidence.iter().any(|line| line.starts_with("therefore, task-processor: Tasks are queued faster")),
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
