//! Queues as real ones were, for the tests of this family.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    causes::diagnose,
    fixtures::{self, CHART_WITH_PROCESSOR, installation, objects, observed, spec},
    model::{Code, Component, Diagnosis, PodPhase},
    observe::{
        DatabaseProbe, Observation, PodSummary, WorkloadState,
        database::{Connections, LastRun, Lock, Queue, QueueProbe, Queues, Recurring, Runs, Sample},
    },
    postgres::sql,
    validate::ManagedBy,
};

/// Seconds since the start of the story at which every look here is taken.
pub(crate) const NOW: i64 = 3_600;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn seconds(number: i64) -> SignedDuration {
    SignedDuration::from_secs(number)
}

/// A task of this transaction and with this timeout.
pub(crate) fn lock(id: i64, xid: i64, timeout: i64) -> Lock {
    Lock {
        id,
        identifier: "tasks.call_webhook".to_owned(),
        timeout: Some(seconds(timeout)),
        due: seconds(300),
        xid,
    }
}

pub(crate) fn sample(second: i64, xid: i64) -> Sample {
    Sample { at: at(second), processors: 1, xid, ..Sample::default() }
}

/// A processor whose container was started then.
pub(crate) fn processor(started: i64) -> PodSummary {
    PodSummary {
        name: "flagsmith-task-processor-abc".to_owned(),
        component: Some(Component::TaskProcessor),
        version: Some("2.265.0".to_owned()),
        phase: PodPhase::Running,
        ready: true,
        terminating: false,
        started: Some(at(started)),
        containers: Vec::new(),
        problems: Vec::new(),
        ..PodSummary::default()
    }
}

pub(crate) fn recurring(identifier: &str, picked: i64) -> Recurring {
    Recurring {
        identifier: identifier.to_owned(),
        disabled: false,
        failures: 0,
        locked: false,
        picked: Some(seconds(picked)),
        last: Some(LastRun { succeeded: Some(true), began: seconds(3_000), error: None }),
    }
}

pub(crate) fn runs(identifier: &str, total: i64, failed: i64, last_failed: bool) -> Runs {
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
pub(crate) fn queue(now: i64, xid: i64) -> Queue {
    Queue {
        at: at(now),
        processors: 1,
        xid,
        last_queued: Some(SignedDuration::from_millis(400)),
        recurring: Some(vec![recurring("tasks.clean_up_old_tasks", 0), recurring("tasks.refresh", 1)]),
        runs: vec![runs("tasks.call_webhook", 900, 0, false)],
        rows: 40_000,
        bytes: 20 << 20,
        connections: Some(Connections { limit: 100, reserved: 3, used: 30 }),
        before: vec![sample(now - 120, xid - 400), sample(now - 60, xid - 200)],
        ..Queue::default()
    }
}

pub(crate) fn with_queue(change: impl FnOnce(&mut Queue)) -> Observation {
    let mut queue = queue(NOW, 100_000);
    change(&mut queue);
    let workload = |name: &str, pods| WorkloadState {
        release: "2.265.0".parse().ok(),
        ..fixtures::rolled_out(name.to_owned(), pods)
    };
    Observation {
        now: at(NOW),
        api: Some(workload("flagsmith-api", 2)),
        task_processor: Some(workload("flagsmith-task-processor", 1)),
        pods: vec![processor(0)],
        database: DatabaseProbe::Reachable { version: 150_018, read_only: None },
        queues: Queues { default: QueueProbe::Seen(Box::new(queue)), separate: None, held: None },
        ..fixtures::empty_observation()
    }
}

pub(crate) fn silent(queue: &mut Queue) {
    queue.recurring = Some(vec![recurring("tasks.clean_up_old_tasks", 840)]);
    queue.ready = 3_000;
    queue.oldest_ready = Some(seconds(840));
}

/// Samples a minute apart with so many waiting; the last is the look itself.
pub(crate) fn growth(queue: &mut Queue, depths: [i64; 3], oldest: i64) {
    let [first, second, now] = depths;
    for (sample, depth) in queue.before.iter_mut().zip([first, second]) {
        sample.ready = depth;
        sample.oldest_ready = Some(seconds(1));
    }
    queue.ready = now;
    queue.oldest_ready = Some(seconds(oldest));
}

/// A recurring task that has failed so often.
pub(crate) fn failing_recurring(queue: &mut Queue, disabled: bool, failures: i32) {
    let fails = Recurring {
        disabled,
        failures,
        last: Some(LastRun {
            succeeded: Some(false),
            began: seconds(5),
            error: Some("RuntimeError: told to fail".to_owned()),
        }),
        ..recurring("tasks.push_usage", 1)
    };
    queue.recurring.as_mut().unwrap().push(fails);
}

/// What is wrong with the operator's own installation.
pub(crate) fn found(observation: &Observation) -> Vec<Diagnosis> {
    diagnose(&installation(&spec(json!({}))), observation)
}

pub(crate) fn codes(observation: &Observation) -> Vec<Code> {
    found(observation).iter().map(|diagnosis| diagnosis.code).collect()
}

/// What is wrong with a manifest of the official chart.
pub(crate) fn of_chart(release: &str, manifest: &str) -> Vec<Diagnosis> {
    let (found, observation) = observed(release, &objects(manifest));
    diagnose(&found.installation, &observation)
}

pub(crate) fn first(found: &[Diagnosis], code: Code) -> &Diagnosis {
    found.iter().find(|it| it.code == code).unwrap_or_else(|| panic!("no {code} in {found:#?}"))
}

pub(crate) fn lacks(found: &[Diagnosis], code: Code) {
    assert!(found.iter().all(|it| it.code != code), "{found:#?}");
}

/// The chart's manifest with another tag for one component's Deployment.
pub(crate) fn tagged(suffix: &str, release: &str) -> String {
    let name = format!("  name: acme-flagsmith-{suffix}\n");
    let documents: Vec<String> = CHART_WITH_PROCESSOR
        .split("\n---")
        .map(|document| {
            if document.contains("kind: Deployment") && document.contains(&name) {
                document.replace(":2.265.0", &format!(":{release}"))
            } else {
                document.to_owned()
            }
        })
        .collect();
    documents.join("\n---")
}

/// What is said of an installation of the official chart, with 60 threads and a long sleep, can be typed there.
pub(crate) fn assert_typed_at_helm(observation: &Observation, code: Code, expected: &str) {
    let mut wanted = installation(&spec(json!({
        "taskProcessor": { "threads": 60, "sleepIntervalMilliseconds": 60_000 },
    })));
    wanted.managed_by =
        ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
    let found = diagnose(&wanted, observation);
    let diagnosis = first(&found, code);
    assert!(diagnosis.remedy.contains(expected), "{diagnosis:#?}");
    assert!(!diagnosis.remedy.contains("spec."), "{diagnosis:#?}");
}

pub(crate) const HOSTILE: &[&str] = &fixtures::HOSTILE;

/// A hostile name as a text in SQL.
pub(crate) fn literal(hostile: &str) -> String {
    sql::literal(hostile, "TASK")
}

/// A remedy that has a hostile name at most quoted like this.
pub(crate) fn assert_harmless(remedy: &str, quoted: &str) {
    let rest = if quoted.is_empty() {
        remedy.to_owned()
    } else {
        assert!(remedy.contains(quoted), "{remedy}");
        remedy.replace(quoted, "")
    };
    assert!(
        !rest.contains("curl") && !rest.contains("DROP") && !remedy.contains(char::is_control),
        "{remedy:?}"
    );
}

/// Log lines of a web server and of a task processor that have come up.
pub(crate) const UP: &str = "2026-11-22T16:00:09.000000Z [info     ] Listening at: http://0.0.0.0:8000 (1) [gunicorn.error] positional_args=()\n";
pub(crate) const STARTS: &str = "2026-11-22T16:00:19.000000Z [info     ] Processor starting [task_processor.threads] positional_args=()\n";

#[test]
fn a_quiet_and_a_busy_queue_have_no_diagnosis() {
    assert_eq!(found(&with_queue(|_| {})), []);
    let busy = with_queue(|queue| {
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
