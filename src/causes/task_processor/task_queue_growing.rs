//! Tasks come faster than they are worked on.
//!
//! A burst that is being worked off looks the same for a while. It is told apart by three looks or more in a row with
//! more waiting each time, by the age of what waits, and by whether tasks are still coming in at the end.

use jiff::SignedDuration;

use super::shared::{
    diagnosis::diagnosis,
    locks,
    processors::ready_for,
    queue::{QueueContext, queues, waiting},
};
use crate::{
    causes::{
        cause::Cause,
        context::Context,
        steps::{age, count, names},
    },
    flagsmith::env,
    model::{Code, Component, Draft, Severity},
    observe::database::{MOST_COUNTED, Queue, Sample},
    validate::Change,
};

/// Growth that is worth a word: fewer are worked off by one thread in one look.
const LEAST: i64 = 20;

/// The shortest time that these looks may span: pods that come and go make looks in between.
const SHORTEST: SignedDuration = SignedDuration::from_secs(15);

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::TaskProcessor, include_str!("task_queue_growing.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    queues(context).iter().filter_map(growing).collect()
}

fn growing(context: &QueueContext<'_>) -> Option<Draft> {
    let queue = context.queue;
    let looks = window(queue)?;
    let first = looks.first()?;
    let span = queue.at.duration_since(first.at);
    let oldest = queue.oldest_ready?;
    if !ready_for(context.observation, queue.at, span) || !rises(queue, looks, oldest) {
        return None;
    }
    let half = SignedDuration::from_millis_i128(span.as_millis() / 2);
    // As many as count come a twentieth of the time apart; twice that leaves room for chance.
    let pause = SignedDuration::from_millis_i128(span.as_millis() / 10);
    let comes = queue.last_queued.is_some_and(|queued| queued <= pause);
    if oldest < half || !comes {
        return None;
    }
    let mut evidence =
        vec![format!("{}: {}; {}", context.source(), waiting(queue)?, forecast(first, queue.ready, span))];
    evidence.extend(busy(context));
    Some(diagnosis(
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

/// Whether more waits at each look.
fn rises(queue: &Queue, looks: &[Sample], oldest: SignedDuration) -> bool {
    if queue.ready > MOST_COUNTED {
        // Too many to count: then their age tells.
        let ages = looks.iter().map(|sample| sample.oldest_ready).chain([Some(oldest)]);
        return ages.is_sorted_by(|before, after| before < after);
    }
    let grown = looks.first().map_or(0, |first| queue.ready - first.ready);
    let depths = looks.iter().map(|sample| sample.ready).chain([queue.ready]);
    depths.is_sorted_by(|before, after| before < after) && grown >= LEAST
}

/// What the threads do meanwhile.
fn busy(context: &QueueContext<'_>) -> Vec<String> {
    let queue = context.queue;
    let mut evidence = Vec::new();
    let locks = locks::tell(queue, &context.processors);
    if locks.live >= context.threads() {
        let pods = match context.running() {
            1 => "1 pod".to_owned(),
            pods => format!("{pods} pods"),
        };
        evidence.push(format!(
            "every thread of the task processor ({} in {pods}) is busy with a batch",
            context.threads(),
        ));
    }
    let held: Vec<&str> = queue.locks.iter().map(|lock| lock.identifier.as_str()).collect();
    if !held.is_empty() {
        evidence.push(format!("being run: {}", names(held)));
    }
    let slow = queue
        .runs
        .iter()
        .filter_map(|runs| Some((runs, runs.takes?)))
        .max_by_key(|(_, takes)| *takes)
        .filter(|(_, takes)| *takes > SignedDuration::from_secs(1));
    if let Some((runs, takes)) = slow {
        evidence.push(format!("the slowest kind, {}, takes {} each", runs.identifier, age(takes)));
    }
    evidence
}

fn remedy(context: &QueueContext<'_>) -> String {
    let managed_by = &context.installation.managed_by;
    let pods = context.observation.task_processor.as_ref().map_or(1, |state| state.desired);
    let threads = context.settings.threads;
    let itself = managed_by
        .field(Component::TaskProcessor, "autoscaling")
        .map_or_else(String::new, |field| format!(" Or let {field} do it."));
    format!(
        "Run one more: {}. Or give each more threads than its {threads}: {}.{itself} If one kind of task is \
         slow, see what it waits for: often a webhook's target that does not answer.",
        managed_by.change(&[Change::Replicas(Component::TaskProcessor, pods + 1)]),
        managed_by.change(&[Change::Env(
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

/// What comes if nothing changes.
fn forecast(first: &Sample, ready: i64, span: SignedDuration) -> String {
    if first.capped || ready > MOST_COUNTED {
        return "more than can be counted, and older at each look".to_owned();
    }
    let seconds = i64::max(span.as_secs(), 1);
    let hourly = (ready - first.ready) * 3600 / seconds;
    format!(
        "{} more each minute; in an hour {} will wait if it goes on",
        count(hourly / 60),
        count(ready + hourly)
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::task_processor::shared::testing::{
            NOW, assert_typed_at_helm, codes, found, growth, runs, sample, seconds, with_queue,
        },
        model::Code,
        observe::database::{MOST_COUNTED, Runs, Sample},
    };

    #[rstest]
    #[case::steadily([100, 400, 700], 110, 1, true)]
    #[case::it_falls_again([100, 700, 400], 110, 1, false)]
    #[case::the_burst_is_over([0, 12_00, 21_00], 72, 30, false)]
    #[case::everything_is_picked_up_in_time([100, 400, 700], 5, 1, false)]
    #[case::a_few_more([1, 2, 3], 110, 1, false)]
    fn growing(#[case] depths: [i64; 3], #[case] oldest: i64, #[case] queued: i64, #[case] expected: bool) {
        let observation = with_queue(|queue| {
            growth(queue, depths, oldest);
            queue.last_queued = Some(seconds(queued));
        });
        let expected = if expected { vec![Code::TaskQueueGrowing] } else { vec![] };
        assert_eq!(codes(&observation), expected);
    }

    /// Frequent looks: the short ones in between count too.
    #[rstest]
    #[case::all_rise([100, 200, 300, 400, 500], true)]
    #[case::one_falls([100, 300, 200, 400, 500], false)]
    #[case::they_rise_only_at_the_end([500, 500, 500, 400, 500], false)]
    fn growing_between_frequent_looks(#[case] depths: [i64; 5], #[case] expected: bool) {
        let observation = with_queue(|queue| {
            queue.before = depths[..4]
                .iter()
                .zip([20, 15, 10, 5])
                .map(|(ready, ago)| Sample { ready: *ready, ..sample(NOW - ago, 90_000) })
                .collect();
            queue.ready = depths[4];
            queue.oldest_ready = Some(seconds(15));
        });
        let expected = if expected { vec![Code::TaskQueueGrowing] } else { vec![] };
        assert_eq!(codes(&observation), expected);
    }

    #[test]
    fn growth_is_foretold_and_the_slow_kind_named() {
        let observation = with_queue(|queue| {
            growth(queue, [100, 400, 700], 110);
            queue.runs = vec![Runs { takes: Some(seconds(30)), ..runs("tasks.slow", 10, 0, false) }];
        });
        let text = format!("{:?}", found(&observation));
        assert!(text.contains("in an hour more than 10,000 will wait"), "{text}");
        assert!(text.contains("tasks.slow, takes more than 30 s each"), "{text}");
    }

    #[test]
    fn more_than_can_be_counted_grows_by_its_age() {
        let observation = with_queue(|queue| {
            growth(queue, [MOST_COUNTED + 1, MOST_COUNTED + 1, MOST_COUNTED + 1], 300);
            if let [first, second] = queue.before.as_mut_slice() {
                (first.capped, first.oldest_ready) = (true, Some(seconds(100)));
                (second.capped, second.oldest_ready) = (true, Some(seconds(200)));
            }
        });
        assert_eq!(codes(&observation), [Code::TaskQueueGrowing]);
    }

    #[test]
    fn the_remedy_can_be_typed_at_the_chart() {
        assert_typed_at_helm(
            &with_queue(|queue| growth(queue, [100, 400, 700], 110)),
            Code::TaskQueueGrowing,
            "--set taskProcessor.replicacount=2. Or give each more threads than its 60",
        );
    }
}
