//! Queues as real ones were: each trouble beside the look-alike that is none.

mod queue;
mod runs;
mod setup;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::check;
use crate::{
    fixtures::{self, installation, spec},
    model::{Code, Diagnosis},
    observe::{
        DatabaseProbe, Observation, PodSummary, WorkloadState,
        database::{Connections, LastRun, Lock, Queue, QueueProbe, Queues, Recurring, Runs, Sample},
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

pub(super) fn recurring(identifier: &str, picked: i64) -> Recurring {
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

pub(super) fn with_queue(change: impl FnOnce(&mut Queue)) -> Observation {
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
        database: DatabaseProbe::Reachable {
            version: 150_018,
            read_only: false,
        },
        queues: Queues {
            default: QueueProbe::Seen(Box::new(queue)),
            separate: None,
        },
        ..fixtures::empty_observation()
    }
}

fn silent(queue: &mut Queue) {
    queue.recurring = Some(vec![recurring("tasks.clean_up_old_tasks", 840)]);
    queue.ready = 3_000;
    queue.oldest_ready = Some(seconds(840));
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

fn found(observation: &Observation) -> Vec<Diagnosis> {
    check(&installation(&spec(json!({}))), observation)
}

fn codes(observation: &Observation) -> Vec<Code> {
    found(observation)
        .iter()
        .map(|diagnosis| diagnosis.code)
        .collect()
}
