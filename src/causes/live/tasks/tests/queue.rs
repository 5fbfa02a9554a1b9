//! What the queue shows: silence, growth, locks.

use rstest::rstest;

use super::{
    NOW, codes, found, growth, lock, processor, recurring, runs, sample, seconds, silent, with_queue,
};
use crate::{
    model::Code,
    observe::{
        Observation,
        database::{Blocker, MOST_COUNTED, Recurring, Runs, Sample},
    },
};

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
    let expected = if expected {
        vec![Code::TaskQueueGrowing]
    } else {
        vec![]
    };
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
    assert_eq!(codes(&observation), expected);
}

#[test]
fn growth_is_foretold_and_the_slow_kind_named() {
    let observation = with_queue(|queue| {
        growth(queue, [100, 400, 700], 110);
        queue.runs = vec![Runs {
            takes: Some(seconds(30)),
            ..runs("tasks.slow", 10, 0, false)
        }];
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
fn locks_of_a_dead_processor_are_told_with_the_statement_that_frees_them() {
    let mut observation = with_queue(|queue| {
        queue.locked = 12;
        queue.locks = (0..12).map(|id| lock(id, 99_700, 60)).collect();
    });
    assert_eq!(found(&observation), [], "the processor may be at it");
    // The look a minute ago found a newer transaction, and the container was started afterwards.
    observation.pods = vec![processor(NOW - 30)];
    let found = found(&observation);
    assert_eq!(codes(&observation), [Code::TasksStuckLocked]);
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
