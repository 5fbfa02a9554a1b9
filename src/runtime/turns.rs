//! Turns at something slow that many ask for: so many at once over all, and so many for each of those who ask.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Hands out turns. Whoever has as many as one may have waits without keeping others waiting: of each key only
/// that many stand in the queue for all.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    keys: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
#[must_use = "a turn ends when it is dropped"]
pub(crate) struct Turn {
    /// Nobody closes a semaphore, so there always is one.
    _of_all: Option<OwnedSemaphorePermit>,
    _of_key: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many turns at once over all, and for each key.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, keys: Mutex::default() }
    }

    /// A turn, in the order of asking, however long that takes.
    pub(crate) async fn wait(&self, key: &str) -> Turn {
        let of_key = self.of(key).acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Turn { _of_all: of_all, _of_key: of_key }
    }

    /// A turn, in the order of asking; `None` where it did not come in time.
    pub(crate) async fn take(&self, key: &str, patience: Duration) -> Option<Turn> {
        timeout(patience, self.wait(key)).await.ok()
    }

    /// The turns of a key, which are forgotten when nobody has or wants one.
    fn of(&self, key: &str) -> Arc<Semaphore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.get(key).and_then(Weak::upgrade) {
            return known;
        }
        keys.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Semaphore::new(self.each));
        keys.insert(key.to_owned(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_who_takes_all_that_it_gets_leaves_turns_for_others() {
        let turns = Turns::new(3, 2);
        let held = [turns.take("a", PATIENCE).await, turns.take("a", PATIENCE).await];
        assert!(held.iter().all(Option::is_some));
        assert!(turns.take("a", PATIENCE).await.is_none());
        let other = turns.take("b", PATIENCE).await;
        assert!(other.is_some());
        assert!(turns.take("c", PATIENCE).await.is_none(), "there are three");
        drop(held);
        assert!(turns.take("a", PATIENCE).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_of_one_does_not_stand_before_others() {
        let turns = Arc::new(Turns::new(1, 1));
        let held = turns.take("a", PATIENCE).await;
        for _ in 0..100 {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let turn = turns.take("a", PATIENCE * 10).await;
                tokio::time::sleep(PATIENCE / 2).await;
                drop(turn);
            });
        }
        tokio::task::yield_now().await;
        drop(held);
        assert!(turns.take("b", PATIENCE).await.is_some());
    }

    #[tokio::test]
    async fn keys_that_nobody_asks_for_are_forgotten() {
        let turns = Turns::new(10, 1);
        for number in 0..100 {
            let _ = turns.take(&number.to_string(), PATIENCE).await;
        }
        assert_eq!(turns.keys.lock().unwrap().len(), 1);
    }
}
