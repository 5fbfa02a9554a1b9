//! Which of the locked tasks no processor works on.
//!
//! A standard task's lock has no time (flagsmith-common 3.13, `task_processor/models.py`) and is never taken away
//! again, so a slow task that is being run looks like one whose processor was killed. Three facts tell them apart:
//!
//! - The row was last written by the transaction that picked it up. A look that found a newer transaction id was
//!   later, which dates the lock to within one interval; so does a newer transaction that wrote the result of a run,
//!   which an operator knows that has just been started.
//! - Tasks with the same transaction are one batch. One thread runs it, a task after the other, each for at most
//!   its timeout, and writes the result of all when the last has ended (`processor.py`).
//! - A processor that was started after the lock was taken cannot be who holds it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::processors::processors;
use crate::{
    flagsmith::startup,
    observe::{
        Observation, PodSummary,
        database::{Lock, Queue},
    },
};

/// What a batch may take beyond the timeouts of its tasks: a thread that is told to stop waits for nothing, and
/// two updates follow.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);

/// How long after the end of a run its result is written, at most: two statements by their keys.
const WRITTEN_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// The locked tasks of a queue, told apart.
#[derive(Debug, Default)]
pub(crate) struct Locks<'a> {
    /// No processor works on these.
    pub(crate) stuck: Vec<&'a Lock>,
    /// Batches that a thread may be working on.
    pub(crate) live: usize,
    /// When the newest of the stuck was surely locked.
    pub(crate) before: Option<Timestamp>,
}

/// How many tasks of a queue are locked while no processor works on them.
pub(crate) fn stuck(queue: &Queue, observation: &Observation) -> usize {
    tell(queue, &processors(observation)).stuck.len()
}

/// Tells the locked tasks apart. `processors` are the pods that exist; those without a running container hold
/// nothing.
pub(crate) fn tell<'a>(queue: &'a Queue, processors: &[&PodSummary]) -> Locks<'a> {
    let mut batches: BTreeMap<i64, Vec<&Lock>> = BTreeMap::new();
    for lock in &queue.locks {
        batches.entry(lock.xid).or_default().push(lock);
    }
    let mut locks = Locks::default();
    for (xid, batch) in batches {
        let looks = queue.before.iter().filter(|it| it.xid > xid).map(|it| it.at);
        let written = queue
            .written
            .iter()
            .filter(|it| it.xid > xid)
            .filter_map(|it| queue.at.checked_sub(it.ago).ok()?.checked_add(WRITTEN_WITHIN).ok());
        let before = looks.chain(written).min().map_or(queue.at, |before| before.min(queue.at));
        let held = queue.at.duration_since(before);
        let orphaned = processors
            .iter()
            .filter_map(|pod| pod.started)
            .all(|started| started.saturating_add(startup::AT_LEAST).is_ok_and(|ready| ready >= before));
        let overdue = longest(&batch).is_some_and(|longest| held > longest);
        if orphaned || overdue {
            locks.stuck.extend(batch);
            locks.before = locks.before.max(Some(before));
        } else {
            locks.live += 1;
        }
    }
    locks
}

/// How long a batch may take. `None`: one of its tasks has no timeout.
fn longest(batch: &[&Lock]) -> Option<SignedDuration> {
    batch.iter().try_fold(MARGIN, |sum, lock| Some(sum.saturating_add(lock.timeout?)))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rstest::rstest;

    use super::super::testing::{lock, processor, queue, sample};
    use super::tell;
    use crate::observe::database::{Lock, Written};

    /// Seconds since the start of the story, at which a look is taken.
    const NOW: i64 = 600;

    fn stuck(locks: Vec<Lock>, samples: &[(i64, i64)], started: Option<i64>) -> usize {
        let mut queue = queue(NOW, 10_000);
        queue.locks = locks;
        queue.before = samples.iter().map(|(at, xid)| sample(*at, *xid)).collect();
        let pods: Vec<_> = started.map(processor).into_iter().collect();
        tell(&queue, &pods.iter().collect::<Vec<_>>()).stuck.len()
    }

    #[rstest]
    #[case::just_picked_up(vec![lock(1, 9_990, 60)], &[(540, 9_000)], Some(0), 0)]
    #[case::seen_a_minute_ago_and_slow(vec![lock(1, 8_000, 60)], &[(540, 9_000)], Some(0), 0)]
    #[case::beyond_its_timeout(vec![lock(1, 8_000, 60)], &[(500, 9_000)], Some(0), 1)]
    #[case::a_batch_may_take_all_its_timeouts(vec![lock(1, 8_000, 60), lock(2, 8_000, 60)], &[(500, 9_000)], Some(0), 0)]
    #[case::without_a_timeout_it_may_take_for_ever(vec![Lock { timeout: None, ..lock(1, 8_000, 60) }], &[(100, 9_000)], Some(0), 0)]
    #[case::older_than_the_only_processor(vec![lock(1, 8_000, 60)], &[(590, 9_000)], Some(595), 1)]
    #[case::the_processor_was_there_already(vec![lock(1, 8_000, 60)], &[(590, 9_000)], Some(580), 0)]
    #[case::no_processor_runs(vec![lock(1, 9_990, 60)], &[], None, 1)]
    #[case::the_look_came_with_the_start(vec![lock(1, 9_990, 60)], &[], Some(NOW), 1)]
    fn tells_who_is_stuck(
        #[case] locks: Vec<Lock>,
        #[case] samples: &[(i64, i64)],
        #[case] started: Option<i64>,
        #[case] expected: usize,
    ) {
        assert_eq!(stuck(locks, samples, started), expected);
    }

    /// As after a restart of the operator: it has not looked before.
    #[rstest]
    #[case::beyond_its_timeout(9_000, 100, Some(0), 1)]
    #[case::within_it(9_000, 60, Some(0), 0)]
    #[case::older_than_the_processor(9_000, 100, Some(550), 1)]
    #[case::written_by_an_older_transaction(7_000, 100, Some(550), 0)]
    fn the_tables_date_a_lock_too(
        #[case] xid: i64,
        #[case] ago: i64,
        #[case] started: Option<i64>,
        #[case] expected: usize,
    ) {
        let mut queue = queue(NOW, 10_000);
        queue.locks = vec![lock(1, 8_000, 60)];
        queue.before = Vec::new();
        queue.written = vec![Written { xid, ago: SignedDuration::from_secs(ago) }];
        let pods: Vec<_> = started.map(processor).into_iter().collect();
        assert_eq!(tell(&queue, &pods.iter().collect::<Vec<_>>()).stuck.len(), expected);
    }

    #[test]
    fn one_old_processor_is_enough_to_doubt() {
        let mut queue = queue(NOW, 10_000);
        queue.locks = vec![lock(1, 8_000, 60)];
        queue.before = vec![sample(590, 9_000)];
        let (old, new) = (processor(0), processor(595));
        assert!(tell(&queue, &[&old, &new]).stuck.is_empty());
    }
}
