//! The time of day: the one place that asks for it, so that a test can set it.
//!
//! It jumps: when the time service corrects it, when a machine that was suspended goes on. What must last for so long is
//! measured with `tokio::time::Instant`; this is for what others wrote down, and what is written down for others.

use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A pass reads the clock when it begins, and may end a minute after what it compares with was noted.
const BESIDE: SignedDuration = SignedDuration::from_mins(2);

thread_local! {
    /// What this thread's clock was set to, and when.
    static SET: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// The time of day.
#[must_use]
pub fn now() -> Timestamp {
    SET.get().map_or_else(Timestamp::now, |(time, since)| {
        // Beyond the year 9999 it stands still.
        time.saturating_add(since.elapsed()).unwrap_or(time)
    })
}

/// How long before `now` this process noted something. Where the clock was set back since, longer than anything: what
/// lasts for some time must not last until the clock has caught up, which may take days.
#[must_use]
pub fn since(noted: Timestamp, now: Timestamp) -> SignedDuration {
    let age = now.duration_since(noted);
    if age < -BESIDE { SignedDuration::MAX } else { age }
}

/// Sets the clock of this thread, which goes on as that of its runtime does. For tests: no process sets its own clock.
pub fn set(time: Timestamp) {
    SET.set(Some((time, Instant::now())));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::before(-30, SignedDuration::from_secs(30))]
    #[case::during_a_pass(60, SignedDuration::from_secs(-60))]
    #[case::set_back(3_600, SignedDuration::MAX)]
    fn what_was_noted_by_a_clock_that_was_set_back_is_old(
        #[case] seconds: i64,
        #[case] expected: SignedDuration,
    ) {
        let now: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        assert_eq!(since(now + SignedDuration::from_secs(seconds), now), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_goes_on_with_the_runtime() {
        let noon: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        set(noon);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(now(), noon + SignedDuration::from_secs(90));
        set(noon);
        assert_eq!(now(), noon);
    }
}
