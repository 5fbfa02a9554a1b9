//! Queues as real ones were: each trouble beside the look-alike that is none.

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::json;

use super::check;
use crate::{
    diagnose::{Code, Diagnosis, Tool},
    fixtures::{installation, observation, spec},
    observe::{
        DatabaseProbe, Observation, PodProblem, PodSummary, WorkloadState,
        database::{
            Blocker, Connections, LastRun, Lock, MOST_COUNTED, Queue, QueueProbe, Queues, Recurring, Runs,
            Sample,
        },
    },
};

/// Seconds since the start of the story at which every look here is taken.
const NOW: i64 = 3_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn seconds(number: i64) -> SignedDuration {
    SignedDuration::from_secs(number)
}

/// A task of this transaction and with this timeout.
pub(super) fn lock(id: i64, xid: i64, timeout: i64) -> Lock {
    Lock {
        id,
        identifier: "tasks.call_webhook".to_owned(),
        timeout: Some(seconds(timeout)),
        due: seconds(300),
        xid,
    }
}

pub(super) fn sample(second: i64, xid: i64) -> Sample {
    Sample {
        at: at(second),
        processors: 1,
        xid,
        ..Sample::default()
    }
}

/// A processor whose container was started then.
pub(super) fn processor(started: i64) -> PodSummary {
    PodSummary {
        name: "flagsmith-task-processor-abc".to_owned(),
        component: "task-processor".to_owned(),
        version: Some("2.265.0".to_owned()),
        phase: "Running".to_owned(),
        ready: true,
        terminating: false,
        started: Some(at(started)),
        containers: Vec::new(),
        problems: Vec::new(),
        ..PodSummary::default()
    }
}

fn recurring(identifier: &str, picked: i64) -> Recurring {
    Recurring {
        identifier: identifier.to_owned(),
        disabled: false,
        failures: 0,
        locked: false,
        picked: Some(seconds(picked)),
        last: Some(LastRun {
            succeeded: Some(true),
            began: seconds(3_000),
            error: None,
        }),
    }
}

fn runs(identifier: &str, total: i64, failed: i64, last_failed: bool) -> Runs {
    Runs {
        identifier: identifier.to_owned(),
        total,
        failed,
        last_failed,
        last_success: (failed < total).then(|| seconds(2)),
        takes: Some(SignedDuration::from_millis(20)),
        error: (failed > 0).then(|| "ConnectionError: no answer".to_owned()),
    }
}

/// A queue in which everything is well.
pub(super) fn queue(now: i64, xid: i64) -> Queue {
    Queue {
        at: at(now),
        processors: 1,
        xid,
        last_queued: Some(SignedDuration::from_millis(400)),
        recurring: Some(vec![
            recurring("tasks.clean_up_old_tasks", 0),
            recurring("tasks.refresh", 1),
        ]),
        runs: vec![runs("tasks.call_webhook", 900, 0, false)],
        rows: 40_000,
        bytes: 20 << 20,
        connections: Some(Connections {
            limit: 100,
            reserved: 3,
            used: 30,
        }),
        before: vec![sample(now - 120, xid - 400), sample(now - 60, xid - 200)],
        ..Queue::default()
    }
}

pub(super) fn seen(change: impl FnOnce(&mut Queue)) -> Observation {
    let mut queue = queue(NOW, 100_000);
    change(&mut queue);
    let workload = |name: &str, pods| WorkloadState {
        name: name.to_owned(),
        release: "2.265.0".parse().ok(),
        desired: pods,
        replicas: pods,
        updated: pods,
        ready: pods,
        available: pods,
        observed: true,
        ..WorkloadState::default()
    };
    Observation {
        now: at(NOW),
        api: Some(workload("flagsmith-api", 2)),
        task_processor: Some(workload("flagsmith-task-processor", 1)),
        pods: vec![processor(0)],
        database: DatabaseProbe::Reachable {
            version: 150_018,
            read_only: false,
        },
        queues: Queues {
            default: QueueProbe::Seen(Box::new(queue)),
            separate: None,
        },
        ..observation()
    }
}

fn found(seen: &Observation) -> Vec<Diagnosis> {
    check(&installation(&spec(json!({}))), seen)
}

fn codes(seen: &Observation) -> Vec<Code> {
    found(seen).iter().map(|diagnosis| diagnosis.code).collect()
}

#[test]
fn a_quiet_and_a_busy_queue_have_no_diagnosis() {
    assert_eq!(found(&seen(|_| {})), []);
    let busy = seen(|queue| {
        queue.ready = 480;
        queue.oldest_ready = Some(seconds(2));
        queue.locked = 50;
        queue.locks = (0..50).map(|id| lock(id, 99_990 + id / 10, 60)).collect();
        for (index, sample) in queue.before.iter_mut().enumerate() {
            sample.ready = 200 + 100 * i64::try_from(index).unwrap();
        }
    });
    assert_eq!(found(&busy), []);
}

fn silent(queue: &mut Queue) {
    queue.recurring = Some(vec![recurring("tasks.clean_up_old_tasks", 840)]);
    queue.ready = 3_000;
    queue.oldest_ready = Some(seconds(840));
}

#[test]
fn a_silent_processor_is_one_diagnosis_with_who_blocks_it() {
    let stalled = seen(|queue| {
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
#[case::it_has_just_started(seen(silent), NOW - 20)]
#[case::every_thread_has_a_batch(seen(|queue| {
    silent(queue);
    queue.locked = 50;
    queue.locks = (0..50).map(|id| lock(id, 99_900 + id / 10, 60)).collect();
}), 0)]
#[case::every_recurring_task_is_being_run(seen(|queue| {
    queue.recurring = Some(vec![Recurring { locked: true, ..recurring("tasks.refresh", 840) }]);
}), 0)]
#[case::nothing_is_registered_and_nothing_waits(seen(|queue| queue.recurring = Some(Vec::new())), 0)]
#[case::it_sleeps_for_long(seen(|queue| queue.recurring = Some(vec![recurring("tasks.refresh", 59)])), 0)]
fn a_silence_that_is_none(#[case] mut seen: Observation, #[case] started: i64) {
    seen.pods = vec![processor(started)];
    assert_eq!(found(&seen), []);
}

#[test]
fn without_recurring_tasks_the_queue_itself_tells() {
    let stalled = seen(|queue| {
        silent(queue);
        queue.recurring = Some(Vec::new());
        queue.runs = Vec::new();
    });
    assert_eq!(codes(&stalled), [Code::TaskQueueStalled]);
}

/// Samples a minute apart with so many waiting; the last is the look itself.
fn growth(queue: &mut Queue, depths: [i64; 3], oldest: i64) {
    let [first, second, now] = depths;
    for (sample, depth) in queue.before.iter_mut().zip([first, second]) {
        sample.ready = depth;
        sample.oldest_ready = Some(seconds(1));
    }
    queue.ready = now;
    queue.oldest_ready = Some(seconds(oldest));
}

#[rstest]
#[case::steadily([100, 400, 700], 110, 1, true)]
#[case::it_falls_again([100, 700, 400], 110, 1, false)]
#[case::the_burst_is_over([0, 12_00, 21_00], 72, 30, false)]
#[case::everything_is_picked_up_in_time([100, 400, 700], 5, 1, false)]
#[case::a_few_more([1, 2, 3], 110, 1, false)]
fn growing(#[case] depths: [i64; 3], #[case] oldest: i64, #[case] queued: i64, #[case] expected: bool) {
    let seen = seen(|queue| {
        growth(queue, depths, oldest);
        queue.last_queued = Some(seconds(queued));
    });
    let expected = if expected {
        vec![Code::TaskQueueGrowing]
    } else {
        vec![]
    };
    assert_eq!(codes(&seen), expected);
}

/// Frequent looks: the short ones in between count too.
#[rstest]
#[case::all_rise([100, 200, 300, 400, 500], true)]
#[case::one_falls([100, 300, 200, 400, 500], false)]
#[case::they_rise_only_at_the_end([500, 500, 500, 400, 500], false)]
fn growing_between_frequent_looks(#[case] depths: [i64; 5], #[case] expected: bool) {
    let seen = seen(|queue| {
        queue.before = depths[..4]
            .iter()
            .zip([20, 15, 10, 5])
            .map(|(ready, ago)| Sample {
                ready: *ready,
                ..sample(NOW - ago, 90_000)
            })
            .collect();
        queue.ready = depths[4];
        queue.oldest_ready = Some(seconds(15));
    });
    let expected = if expected {
        vec![Code::TaskQueueGrowing]
    } else {
        vec![]
    };
    assert_eq!(codes(&seen), expected);
}

#[test]
fn growth_is_foretold_and_the_slow_kind_named() {
    let seen = seen(|queue| {
        growth(queue, [100, 400, 700], 110);
        queue.runs = vec![Runs {
            takes: Some(seconds(30)),
            ..runs("tasks.slow", 10, 0, false)
        }];
    });
    let text = format!("{:?}", found(&seen));
    assert!(text.contains("in an hour more than 10,000 will wait"), "{text}");
    assert!(text.contains("tasks.slow, takes more than 30 s each"), "{text}");
}

#[test]
fn more_than_can_be_counted_grows_by_its_age() {
    let seen = seen(|queue| {
        growth(queue, [MOST_COUNTED + 1, MOST_COUNTED + 1, MOST_COUNTED + 1], 300);
        if let [first, second] = queue.before.as_mut_slice() {
            (first.capped, first.oldest_ready) = (true, Some(seconds(100)));
            (second.capped, second.oldest_ready) = (true, Some(seconds(200)));
        }
    });
    assert_eq!(codes(&seen), [Code::TaskQueueGrowing]);
}

#[test]
fn locks_of_a_dead_processor_are_told_with_the_statement_that_frees_them() {
    let mut seen = seen(|queue| {
        queue.locked = 12;
        queue.locks = (0..12).map(|id| lock(id, 99_700, 60)).collect();
    });
    assert_eq!(found(&seen), [], "the processor may be at it");
    // The look a minute ago found a newer transaction, and the container was started afterwards.
    seen.pods = vec![processor(NOW - 30)];
    let found = found(&seen);
    assert_eq!(codes(&seen), [Code::TasksStuckLocked]);
    let first = found.first().unwrap();
    assert!(first.message.contains("it held more than 10 tasks;"), "{first:?}");
    assert!(
        first
            .remedy
            .contains("UPDATE task_processor_task SET is_locked = false"),
        "{first:?}"
    );
    assert!(
        first
            .evidence
            .iter()
            .any(|line| line.contains("tasks.call_webhook")),
        "{first:?}"
    );
}

#[rstest]
#[case::given_up(runs("tasks.call_webhook", 10, 3, true), 1, true)]
#[case::fails_each_time(runs("tasks.call_webhook", 3, 3, true), 0, true)]
#[case::a_later_one_succeeded(runs("tasks.call_webhook", 10, 3, false), 1, false)]
#[case::will_be_tried_again(runs("tasks.call_webhook", 10, 1, true), 0, false)]
fn failing(#[case] of: Runs, #[case] given_up: i64, #[case] expected: bool) {
    let seen = seen(|queue| {
        queue.given_up = vec![(of.identifier.clone(), given_up)];
        queue.runs = vec![of.clone()];
    });
    let expected = if expected {
        vec![Code::TasksFailing]
    } else {
        vec![]
    };
    assert_eq!(codes(&seen), expected);
    if let Some(first) = found(&seen).first() {
        assert!(
            first
                .evidence
                .iter()
                .any(|line| line.contains("ConnectionError: no answer")),
            "{first:?}"
        );
    }
}

#[test]
fn a_recurring_task_is_told_while_it_fails_and_when_it_is_off() {
    let of = |disabled, failures| {
        seen(|queue| {
            let last = Some(LastRun {
                succeeded: Some(false),
                began: seconds(5),
                error: Some("RuntimeError: told to fail".to_owned()),
            });
            let fails = Recurring {
                disabled,
                failures,
                last,
                ..recurring("tasks.push_usage", 1)
            };
            queue.recurring.as_mut().unwrap().push(fails);
        })
    };
    assert_eq!(codes(&of(false, 1)), []);
    assert_eq!(codes(&of(false, 3)), [Code::TasksFailing]);
    assert_eq!(codes(&of(true, 4)), [Code::RecurringTasksDisabled]);
    let text = format!("{:?}", found(&of(true, 4)));
    assert!(
        text.contains("told to fail") && text.contains("WHERE task_identifier = 'tasks.push_usage'"),
        "{text}"
    );
}

#[test]
fn a_large_table_is_bloated_only_without_its_clean_up() {
    let of = |change: fn(&mut Vec<Recurring>)| {
        codes(&seen(|queue| {
            queue.rows = 56_000_000;
            change(queue.recurring.as_mut().unwrap());
        }))
    };
    assert_eq!(of(|_| {}), []);
    assert_eq!(of(|tasks| drop(tasks.remove(0))), [Code::TaskTableBloated]);
    assert_eq!(
        of(|tasks| tasks[0].last.as_mut().unwrap().began = SignedDuration::from_hours(100)),
        [Code::TaskTableBloated]
    );
}

#[rstest]
#[case::enough(100, 5432, false)]
#[case::too_few(20, 5432, true)]
#[case::behind_a_pooler(20, 6432, false)]
fn connections(#[case] limit: i64, #[case] port: u16, #[case] expected: bool) {
    let mut seen = seen(|queue| {
        queue.connections = Some(Connections {
            limit,
            reserved: 3,
            used: 5,
        });
    });
    let database = crate::validate::DatabaseIdentity {
        port,
        ..crate::fixtures::database()
    };
    seen.secrets.database = crate::observe::SecretState::Present(database);
    let expected = if expected {
        vec![Code::ConnectionBudgetExceeded]
    } else {
        vec![]
    };
    assert_eq!(codes(&seen), expected);
}

#[rstest]
#[case::the_default(500, false)]
#[case::noticed_by_nobody(5_000, false)]
#[case::a_minute(60_000, true)]
fn sleeping(#[case] milliseconds: i32, #[case] expected: bool) {
    let wanted = installation(&spec(
        json!({ "taskProcessor": { "sleepIntervalMilliseconds": milliseconds } }),
    ));
    let found = check(&wanted, &seen(|_| {}));
    let codes: Vec<Code> = found.iter().map(|diagnosis| diagnosis.code).collect();
    let expected = if expected {
        vec![Code::TaskSleepIntervalHigh]
    } else {
        vec![]
    };
    assert_eq!(codes, expected, "{found:?}");
}

#[test]
fn a_processor_that_does_not_get_ready_is_told_unless_its_pods_say_why() {
    let mut seen = seen(silent);
    seen.task_processor.as_mut().unwrap().ready = 0;
    seen.pods[0].ready = false;
    assert_eq!(codes(&seen), [Code::TaskProcessorNotReady]);
    seen.pods[0].problems = vec![PodProblem::CrashLoop {
        restarts: 3,
        exit_code: Some(1),
        reason: None,
        message: None,
    }];
    assert_eq!(codes(&seen), []);
    seen.pods = vec![PodSummary {
        ready: false,
        ..processor(NOW - 10)
    }];
    assert_eq!(codes(&seen), [], "it is starting");
}

#[test]
fn no_processor_is_told_with_what_waits() {
    let wanted = installation(&spec(json!({ "taskProcessor": { "replicas": 0 } })));
    let mut seen = seen(silent);
    seen.pods.clear();
    let found = check(&wanted, &seen);
    let first = found.first().unwrap();
    assert_eq!(first.code, Code::TaskProcessorScaledToZero);
    assert!(
        first
            .evidence
            .iter()
            .any(|line| line.contains("more than 2,000 tasks ready")),
        "{first:?}"
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

/// What is said of an installation of the official chart can be typed there.
#[rstest]
#[case::growing(
    Code::TaskQueueGrowing,
    "--set taskProcessor.replicacount=2. Or give each more threads than its 60"
)]
#[case::sleep(Code::TaskSleepIntervalHigh, "--set taskProcessor.sleepIntervalMs=500")]
#[case::connections(Code::ConnectionBudgetExceeded, "--set taskProcessor.numThreads=41")]
fn remedies_are_in_the_owners_tool(#[case] code: Code, #[case] expected: &str) {
    let mut wanted = installation(&spec(json!({
        "taskProcessor": { "threads": 60, "sleepIntervalMilliseconds": 60_000 },
    })));
    wanted.tool = Tool::Helm {
        release: "acme".to_owned(),
        chart: None,
        namespace: "prod".to_owned(),
    };
    let growing = seen(|queue| growth(queue, [100, 400, 700], 110));
    let found = check(&wanted, &growing);
    let diagnosis = found.iter().find(|it| it.code == code).unwrap();
    assert!(diagnosis.remedy.contains(expected), "{diagnosis:#?}");
    assert!(!diagnosis.remedy.contains("spec."), "{diagnosis:#?}");
}
