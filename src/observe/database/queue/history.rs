//! What was seen of a queue before, kept in memory: a status that moved with it would be written at every pass.

use std::collections::VecDeque;

use jiff::SignedDuration;

use super::{
    sample::Sample,
    state::{MOST_COUNTED, Queue},
};
use crate::runtime::clock;

/// How long a sample is kept: the longest stabilisation window of scaling, and longer than a full batch may take.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(16);

/// The most samples that are kept, 12 KB: looks can be more frequent than the interval while pods come and go.
const KEPT: usize = 200;

/// The newest samples of one queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(VecDeque<Sample>);

impl History {
    /// Everything that is kept, the newest last.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.iter().copied().collect()
    }

    /// Keeps a sample. Transaction ids that run backwards mean another server (a restored backup, a failover to a
    /// copy that was behind): what is known of the old one dates nothing there.
    pub(crate) fn push(&mut self, queue: &Queue) {
        if self.0.back().is_some_and(|last| last.xid > queue.xid) {
            self.0.clear();
        }
        let past = |sample: &Sample| clock::since(sample.at, queue.at) > KEPT_FOR;
        while self.0.len() >= KEPT || self.0.front().is_some_and(past) {
            self.0.pop_front();
        }
        self.0.push_back(Sample {
            at: queue.at,
            processors: queue.processors,
            xid: queue.xid,
            ready: queue.ready,
            capped: queue.ready > MOST_COUNTED,
            oldest_ready: queue.oldest_ready,
            picked: queue.picked(),
        });
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn queue(xid: i64) -> Queue {
        Queue { xid, ready: xid, ..Queue::default() }
    }

    #[test]
    fn is_bounded_and_keeps_the_newest() {
        let mut history = History::default();
        for xid in 0..1_000 {
            history.push(&queue(xid));
        }
        let samples = history.samples();
        assert_eq!(samples.len(), KEPT);
        assert_eq!(samples.last().map(|it| it.xid), Some(999));
        history.push(&Queue { at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1), ..queue(1_000) });
        assert_eq!(history.samples().len(), 1, "what is an hour old says nothing any more");
    }

    #[test]
    fn begins_anew_where_the_clock_was_set_back() {
        let mut history = History::default();
        history.push(&Queue { at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24), ..queue(1) });
        history.push(&queue(2));
        assert_eq!(history.samples().len(), 1);
    }

    #[test]
    fn begins_anew_on_another_server() {
        let mut history = History::default();
        history.push(&queue(900));
        history.push(&queue(20));
        assert_eq!(history.samples().len(), 1);
    }
}
