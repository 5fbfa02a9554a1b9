//! Tasks come faster than they are worked on.
//!
//! A burst that is being worked off looks the same for a while. It is told apart by three looks or more in a row with
//! more waiting each time, by the age of what waits, and by whether tasks are still coming in at the end.

use jiff::SignedDuration;

use super::{
    super::{Code, Component, Diagnosis, Severity},
    QueueContext, age, locks, of_tasks, phrasing,
};
use crate::{
    flagsmith::env,
    observe::database::{MOST_COUNTED, Queue, Sample},
    validate::Change,
};

/// Growth that is worth a word: fewer are worked off by one thread in one look.
const LEAST: i64 = 20;

/// The shortest time that these looks may span: pods that come and go make looks in between.
const SHORTEST: SignedDuration = SignedDuration::from_secs(15);

pub(super) fn check(context: &QueueContext<'_>) -> Option<Diagnosis> {
    let queue = context.queue;
    let looks = window(queue)?;
    let first = looks.first()?;
    let span = queue.at.duration_since(first.at);
    if !context.settled(span) {
        return None;
    }
    let oldest = queue.oldest_ready?;
    let rises = if queue.ready > MOST_COUNTED {
        // Too many to count: then their age tells.
        let ages = looks
            .iter()
            .map(|sample| sample.oldest_ready)
            .chain([Some(oldest)]);
        ages.is_sorted_by(|before, after| before < after)
    } else {
        let depths = looks.iter().map(|sample| sample.ready).chain([queue.ready]);
        depths.is_sorted_by(|before, after| before < after) && queue.ready - first.ready >= LEAST
    };
    let half = SignedDuration::from_millis_i128(span.as_millis() / 2);
    // As many as count come a twentieth of the time apart; twice that leaves room for chance.
    let pause = SignedDuration::from_millis_i128(span.as_millis() / 10);
    let comes = queue.last_queued.is_some_and(|queued| queued <= pause);
    if !rises || oldest < half || !comes {
        return None;
    }
    let mut evidence = vec![format!(
        "{}: {}; {}",
        context.source(),
        context.waiting()?,
        forecast(first, queue.ready, span)
    )];
    let locks = locks::tell(queue, &context.processors);
    if locks.live >= context.threads() {
        evidence.push(format!(
            "every thread of the task processor ({} in {}) is busy with a batch",
            context.threads(),
            pods(context),
        ));
    }
    let held: Vec<&str> = queue.locks.iter().map(|lock| lock.identifier.as_str()).collect();
    if !held.is_empty() {
        evidence.push(format!("being run: {}", phrasing::names(held)));
    }
    let slow = queue
        .runs
        .iter()
        .filter_map(|runs| Some((runs, runs.takes?)))
        .max_by_key(|(_, takes)| *takes)
        .filter(|(_, takes)| *takes > SignedDuration::from_secs(1));
    if let Some((runs, takes)) = slow {
        evidence.push(format!(
            "the slowest kind, {}, takes {} each",
            runs.identifier,
            age(takes)
        ));
    }
    Some(of_tasks(
        Code::TaskQueueGrowing,
        Severity::Warning,
        format!(
            "Tasks are queued faster than they are run: the oldest has waited for {}, and the wait grows.",
            age(oldest)
        ),
        evidence,
        remedy(context),
    ))
}

fn remedy(context: &QueueContext<'_>) -> String {
    let tool = &context.installation.managed_by;
    let pods = context
        .observation
        .task_processor
        .as_ref()
        .map_or(1, |state| state.desired);
    let threads = context.settings.threads;
    let itself = if tool.is_operator() {
        " Or let spec.taskProcessor.autoscaling do it."
    } else {
        ""
    };
    format!(
        "Run one more: {}. Or give each more threads than its {threads}: {}.{itself} If one kind of task is slow, see what it waits for: often a webhook's target that does not answer.",
        tool.change(&[Change::Replicas(Component::TaskProcessor, pods + 1)]),
        tool.change(&[Change::Env(
            Component::TaskProcessor,
            env::TASK_PROCESSOR_NUM_THREADS,
            &(threads * 2).to_string()
        )]),
    )
}

/// The looks before this one that are compared with it: two at least, over a while.
fn window(queue: &Queue) -> Option<&[Sample]> {
    let before = queue.before.as_slice();
    let old = |sample: &Sample| queue.at.duration_since(sample.at) >= SHORTEST;
    let first = before.iter().rposition(old)?.min(before.len().checked_sub(2)?);
    before.get(first..)
}

fn pods(context: &QueueContext<'_>) -> String {
    match context
        .processors
        .iter()
        .filter(|pod| pod.started.is_some())
        .count()
    {
        1 => "1 pod".to_owned(),
        pods => format!("{pods} pods"),
    }
}

/// What comes if nothing changes.
fn forecast(first: &Sample, ready: i64, span: SignedDuration) -> String {
    if first.capped || ready > MOST_COUNTED {
        return "more than can be counted, and older at each look".to_owned();
    }
    let seconds = i64::max(span.as_secs(), 1);
    let hourly = (ready - first.ready) * 3600 / seconds;
    format!(
        "{} more each minute; in an hour {} will wait if it goes on",
        phrasing::count(hourly / 60),
        phrasing::count(ready + hourly)
    )
}
