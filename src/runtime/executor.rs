//! The thread that the process runs on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Turns of tasks between two looks at timers and sockets. A task that gives way gets its next turn before anybody whom
/// a timer or a socket wakes, unless these are looked at between the two; tokio does so after 61 turns, which of somebody
/// who floods a connection are ten milliseconds.
const TURNS: u32 = 8;

/// One thread: the operator waits for servers most of its time, and what it computes takes microseconds. A second one
/// costs more in handing over than it saves.
pub fn on_one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().event_interval(TURNS).build()
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        task::Poll,
        time::Duration,
    };

    use tokio::time::{Instant, sleep};

    use super::*;

    const TURN: Duration = Duration::from_millis(1);

    /// Twice what there should be.
    const MOST: u32 = 16;

    /// Somebody whose work never ends and who gives way after each turn, as a connection that is flooded.
    #[test]
    fn a_timer_comes_soon_whatever_else_there_is_to_do() {
        let turns = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&turns);
        let runtime = on_one_thread().unwrap();
        runtime.spawn(poll_fn(move |context| {
            let end = Instant::now() + TURN;
            while Instant::now() < end {}
            counted.fetch_add(1, Ordering::Relaxed);
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let waited = runtime.block_on(async {
            let waiter = tokio::spawn(async move {
                let before = turns.load(Ordering::Relaxed);
                sleep(TURN).await;
                turns.load(Ordering::Relaxed) - before
            });
            waiter.await.unwrap()
        });
        assert!(waited <= MOST, "{waited} turns of somebody else");
    }
}
