//! How many task processors the queue needs. Pure.
//!
//! Up when tasks wait too long, to the double: how long the oldest waits does not say how many are missing. And only after
//! the processors of the last step have been there for a look, because a new one needs seconds to start. Down by one
//! when everything has been picked up well in time for as long as the stabilisation window.

use jiff::SignedDuration;

use crate::{
    api::TaskAutoscalingSpec,
    observe::database::{Queue, Sample},
};

/// Down only when nothing has waited for longer than this part of the target: otherwise one processor less would
/// bring the wait back at once.
const CALM_PART: i32 = 2;

/// The number of task processors that the queue needs.
///
/// `now` is the number that is wanted at present; 0 begins at the minimum. `limit` is how many the server's
/// connections allow. Without a queue that can be read the number stays.
pub(super) fn processors(
    spec: &TaskAutoscalingSpec,
    queue: Option<&Queue>,
    now: i32,
    limit: Option<i32>,
) -> i32 {
    let most = limit.map_or(spec.max_replicas, |limit| spec.max_replicas.min(limit)).max(spec.min_replicas);
    let now = now.clamp(spec.min_replicas, most);
    let wanted = queue.map_or(now, |queue| step(spec, queue, now));
    wanted.clamp(spec.min_replicas, most)
}

fn step(spec: &TaskAutoscalingSpec, queue: &Queue, now: i32) -> i32 {
    let target = SignedDuration::from_secs(spec.target_age_seconds.into());
    let wait = |oldest: Option<SignedDuration>| oldest.unwrap_or_default();
    let settled = |sample: &Sample| sample.processors >= now;
    if wait(queue.oldest_ready) > target {
        let last = queue.before.last();
        let steady = last.is_some_and(|last| settled(last) && wait(last.oldest_ready) > target);
        return if steady && queue.processors >= now { now.saturating_add(now.max(1)) } else { now };
    }
    let window = SignedDuration::from_secs(spec.scale_down_stabilization_seconds.into());
    let begins = queue.before.iter().rposition(|sample| queue.at.duration_since(sample.at) >= window);
    let calm = |oldest: Option<SignedDuration>| wait(oldest).saturating_mul(CALM_PART) <= target;
    let quiet = begins.is_some_and(|begins| {
        queue.before.iter().skip(begins).all(|sample| settled(sample) && calm(sample.oldest_ready))
    });
    if quiet && calm(queue.oldest_ready) { now - 1 } else { now }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn spec() -> TaskAutoscalingSpec {
        TaskAutoscalingSpec {
            min_replicas: 1,
            max_replicas: 8,
            target_age_seconds: 60,
            scale_down_stabilization_seconds: 300,
        }
    }

    /// A queue whose looks, a minute apart, found these waits (seconds), the newest last, with so many processors.
    fn queue(waits: &[i64], processors: i32) -> Queue {
        let at = |index: usize| Timestamp::from_second(i64::try_from(index).unwrap() * 60).unwrap();
        let age = |wait: i64| (wait > 0).then(|| SignedDuration::from_secs(wait));
        let (now, before) = waits.split_last().unwrap();
        Queue {
            at: at(before.len()),
            oldest_ready: age(*now),
            processors,
            before: before
                .iter()
                .enumerate()
                .map(|(index, wait)| Sample {
                    at: at(index),
                    processors,
                    oldest_ready: age(*wait),
                    ..Sample::default()
                })
                .collect(),
            ..Queue::default()
        }
    }

    #[rstest]
    #[case::nothing_waits(&[0, 0, 0], 2, 2, 2)]
    #[case::one_look_is_no_reason(&[0, 0, 90], 2, 2, 2)]
    #[case::waits_too_long(&[0, 70, 90], 2, 2, 4)]
    #[case::as_long_as_it_may(&[0, 70, 60], 2, 2, 2)]
    #[case::as_long_as_it_might_before(&[0, 60, 90], 2, 2, 2)]
    #[case::the_longer_the_wait_the_same(&[0, 900, 900], 3, 3, 6)]
    #[case::one_more_is_enough(&[0, 70, 90], 1, 1, 2)]
    #[case::the_last_step_has_not_started(&[0, 70, 90], 4, 2, 4)]
    #[case::never_above_the_most(&[300, 900, 900], 6, 6, 8)]
    #[case::calm_for_the_window(&[0, 0, 10, 0, 0, 0], 3, 3, 2)]
    #[case::calm_but_not_for_long_enough(&[0, 0, 0], 3, 3, 3)]
    #[case::a_wait_within_the_window(&[0, 0, 40, 0, 0, 0], 3, 3, 3)]
    #[case::never_below_the_least(&[0, 0, 0, 0, 0, 0], 1, 1, 1)]
    #[case::begins_at_the_least(&[0], 0, 0, 1)]
    fn follows_the_queue(
        #[case] waits: &[i64],
        #[case] now: i32,
        #[case] running: i32,
        #[case] expected: i32,
    ) {
        assert_eq!(processors(&spec(), Some(&queue(waits, running)), now, None), expected);
    }

    #[test]
    fn stays_within_the_connections_and_without_a_queue() {
        let busy = queue(&[300, 900, 900], 2);
        assert_eq!(processors(&spec(), Some(&busy), 2, Some(3)), 3);
        assert_eq!(processors(&spec(), Some(&busy), 5, Some(3)), 3);
        assert_eq!(processors(&spec(), Some(&busy), 2, Some(0)), 1, "the least is the user's own word");
        assert_eq!(processors(&spec(), None, 5, None), 5);
    }

    proptest! {
        #[test]
        fn is_within_its_bounds_and_never_more_than_doubles(
            waits in prop::collection::vec(0_i64..2_000, 1..20),
            now in 0_i32..20,
            running in 0_i32..20,
            limit in prop::option::of(0_i32..20),
        ) {
            let wanted = processors(&spec(), Some(&queue(&waits, running)), now, limit);
            prop_assert!((1..=8).contains(&wanted));
            prop_assert!(limit.is_none_or(|limit| wanted <= limit.max(1)));
            prop_assert!(wanted <= now.max(1) * 2 && wanted >= (now.min(8) - 1).min(limit.unwrap_or(8).max(1)).min(1));
        }

        /// Whatever the queue does, the number does not swing: after a step up there is no step down before the
        /// window has passed.
        #[test]
        fn does_not_flap(waits in prop::collection::vec(0_i64..400, 10..60)) {
            let spec = spec();
            let mut now = 1;
            let mut steps: Vec<(usize, i32)> = Vec::new();
            for end in 1..=waits.len() {
                let from = end.saturating_sub(15);
                let mut queue = queue(&waits[from..end], now);
                // Processors follow at once; what was before has as many as there were then.
                for (index, sample) in queue.before.iter_mut().enumerate() {
                    let then = steps.iter().rev().find(|(at, _)| *at <= from + index).map_or(1, |(_, count)| *count);
                    sample.processors = then;
                }
                let wanted = processors(&spec, Some(&queue), now, None);
                if wanted < now {
                    let last_up = steps.iter().rev().find(|(_, count)| *count == now).map_or(0, |(at, _)| *at);
                    prop_assert!(end - last_up >= 5, "down {} looks after the last step", end - last_up);
                }
                if wanted != now {
                    steps.push((end, wanted));
                    now = wanted;
                }
            }
        }
    }
}
