//! How a pass ends: what it did, and when the next one begins.

use std::time::Duration;

use kube::runtime::controller::Action;

use crate::runtime::{backoff::jittered, metrics::Outcome, random};

/// The end of a pass that did not fail.
#[derive(Debug, PartialEq)]
pub(super) struct Next {
    pub(super) action: Action,
    pub(super) outcome: Outcome,
}

impl Next {
    /// Nothing changes before the object does.
    pub(super) fn on_change() -> Self {
        Self::unchanged(Action::await_change())
    }

    /// The object's next change, or the moment at which a status that was held back may be written.
    pub(super) fn on_change_or_after(held_back: Option<Duration>) -> Self {
        Self::unchanged(held_back.map_or_else(Action::await_change, Action::requeue))
    }

    /// At once: this pass wrote something that the next one has to know.
    pub(super) fn at_once() -> Self {
        Self { action: Action::requeue(Duration::ZERO), outcome: Outcome::Changed }
    }

    /// When it is time to look again, spread so that installations do not all come at once; or earlier, when a status
    /// that was held back may be written.
    pub(super) fn after(look: Duration, held_back: Option<Duration>) -> Self {
        let wait = held_back.map_or_else(|| jittered(look, &mut random::rng()), |wait| wait.min(look));
        Self::unchanged(Action::requeue(wait))
    }

    /// The same, of a pass that wrote so many objects.
    pub(super) fn having_written(self, objects: usize) -> Self {
        if objects == 0 {
            return self;
        }
        Self { outcome: Outcome::Changed, ..self }
    }

    const fn unchanged(action: Action) -> Self {
        Self { action, outcome: Outcome::Unchanged }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[rstest]
    #[case::later(MINUTE * 2, MINUTE)]
    #[case::earlier(Duration::from_secs(2), Duration::from_secs(2))]
    fn a_status_that_was_held_back_is_written_no_later_than_the_next_look(
        #[case] held_back: Duration,
        #[case] expected: Duration,
    ) {
        assert_eq!(Next::after(MINUTE, Some(held_back)), Next::unchanged(Action::requeue(expected)));
    }

    #[test]
    fn looks_are_spread() {
        let waits: Vec<Action> = (0..20).map(|_| Next::after(MINUTE, None).action).collect();
        assert!(waits.iter().any(|wait| Some(wait) != waits.first()), "{waits:?}");
    }

    #[test]
    fn what_was_written_counts_as_a_change() {
        assert_eq!(Next::on_change().having_written(0).outcome, Outcome::Unchanged);
        assert_eq!(Next::on_change().having_written(2).outcome, Outcome::Changed);
    }
}
