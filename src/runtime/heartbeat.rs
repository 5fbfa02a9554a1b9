//! Whether the runtime still runs tasks, without asking anybody outside the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often the heart beats: six beats must fail before [`STUCK_AFTER`], so that one slow scheduling of the
/// process does not count.
pub const PERIOD: Duration = Duration::from_secs(5);

/// How long without a beat until the process counts as stuck: far longer than any pause of a busy node,
/// short enough that a restart comes within a minute (the probe runs every 10 s and must fail three times).
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

/// A clock that only goes on while the runtime schedules tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    start: Instant,
    /// Milliseconds from `start` to the last beat.
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// A heart that has just beaten.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), last: Arc::new(AtomicU64::new(0)) }
    }

    /// Beats every [`PERIOD`] until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.beat();
        }
    }

    /// Records that the process is alive now.
    pub fn beat(&self) {
        self.last.store(self.elapsed_millis(), Ordering::Relaxed);
    }

    /// How long ago the last beat was.
    #[must_use]
    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.elapsed_millis().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    /// Whether the last beat is longer ago than [`STUCK_AFTER`].
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.silence() > STUCK_AFTER
    }

    fn elapsed_millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_running_heart_is_never_stuck_and_a_stopped_one_is() {
        let heart = Heartbeat::new();
        let stop = CancellationToken::new();
        let task = tokio::spawn(heart.clone().run(stop.clone()));
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(heart.silence() <= PERIOD, "{:?}", heart.silence());
        }
        stop.cancel();
        task.await.unwrap();
        tokio::time::sleep(STUCK_AFTER.checked_sub(PERIOD).unwrap()).await;
        assert!(!heart.is_stuck());
        tokio::time::sleep(2 * PERIOD).await;
        assert!(heart.is_stuck());
        heart.beat();
        assert!(!heart.is_stuck());
    }
}
