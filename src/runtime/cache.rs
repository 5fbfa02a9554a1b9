//! What is remembered between passes: one value for each key, and when it was put there.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// One value for each installation, by its uid. Its owner forgets a deleted installation.
pub(crate) type PerInstallation<T> = Cache<String, T>;

/// One value for each key.
#[derive(Debug)]
pub(crate) struct Cache<K, T> {
    entries: Mutex<HashMap<K, Entry<T>>>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    value: T,
}

impl<K, T> Default for Cache<K, T> {
    /// Without a limit: for keys that are forgotten.
    fn default() -> Self {
        Self::with_capacity(usize::MAX)
    }
}

impl<K, T> Cache<K, T> {
    /// At most so many entries; another one replaces the oldest.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { entries: Mutex::default(), capacity }
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// A panic cannot leave an entry half written, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Entry<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, T> Cache<K, T> {
    /// Stores a value, as of now.
    pub(crate) fn put(&self, key: K, value: T) {
        let mut entries = self.lock();
        let at = Instant::now();
        make_room(&mut entries, &key, self.capacity);
        entries.insert(key, Entry { at, value });
    }

    /// What a function makes of a value.
    pub(crate) fn read<Q, R>(&self, key: &Q, with: impl FnOnce(&T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock().get(key).map(|entry| with(&entry.value))
    }

    /// A value.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        T: Clone,
    {
        self.read(key, T::clone)
    }

    /// A value that is younger than it may be. How old that is depends on the value; `None` rejects it at any age.
    pub(crate) fn fresh<Q>(&self, key: &Q, fresh_for: impl FnOnce(&T) -> Option<Duration>) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        T: Clone,
    {
        let entries = self.lock();
        let entry = entries.get(key)?;
        (entry.at.elapsed() < fresh_for(&entry.value)?).then(|| entry.value.clone())
    }

    /// How long a value stays fresh; `None` without a value.
    pub(crate) fn fresh_until<Q>(&self, key: &Q, fresh_for: impl FnOnce(&T) -> Duration) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entries = self.lock();
        let entry = entries.get(key)?;
        Some(fresh_for(&entry.value).saturating_sub(entry.at.elapsed()))
    }

    /// Changes a value that is there; it does not become younger by that.
    pub(crate) fn update<Q, R>(&self, key: &Q, with: impl FnOnce(&mut T) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock().get_mut(key).map(|entry| with(&mut entry.value))
    }

    /// Changes a value, which begins as its default.
    pub(crate) fn entry<R>(&self, key: &K, with: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        let mut entries = self.lock();
        make_room(&mut entries, key, self.capacity);
        let entry =
            entries.entry(key.clone()).or_insert_with(|| Entry { at: Instant::now(), value: T::default() });
        with(&mut entry.value)
    }

    /// Forgets a value.
    pub(crate) fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock().remove(key);
    }
}

/// Drops the oldest entries until another key has room.
fn make_room<K: Hash + Eq + Clone, T>(entries: &mut HashMap<K, Entry<T>>, key: &K, capacity: usize) {
    while entries.len() >= capacity && !entries.contains_key(key) {
        let oldest = entries.iter().min_by_key(|(_, entry)| entry.at);
        let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
            return;
        };
        entries.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_value_is_fresh_for_a_while() {
        let cache = PerInstallation::default();
        cache.put("a".to_owned(), 1);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(cache.fresh("a", |_| Some(MINUTE)), Some(1));
        assert_eq!(cache.fresh_until("a", |_| MINUTE), Some(Duration::from_secs(1)));
        assert_eq!(cache.fresh("a", |_| None), None);
        cache.update("a", |value| *value = 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cache.fresh("a", |_| Some(MINUTE)), None, "a change made it younger");
        assert_eq!(cache.get("a"), Some(2));
        assert_eq!(cache.fresh_until("a", |_| MINUTE), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let cache: PerInstallation<Vec<i32>> = Cache::default();
        cache.entry(&"a".to_owned(), |value| value.push(1));
        cache.entry(&"a".to_owned(), |value| value.push(2));
        assert_eq!(cache.get("a"), Some(vec![1, 2]));
        cache.forget("a");
        assert_eq!((cache.get("a"), cache.update("a", Vec::clear)), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room() {
        let cache = Cache::with_capacity(2);
        for key in ["a", "b", "a", "c"] {
            cache.put(key.to_owned(), ());
            tokio::time::advance(MINUTE).await;
        }
        assert_eq!(["a", "b", "c"].map(|key| cache.get(key).is_some()), [true, false, true]);
    }

    #[test]
    fn a_panic_elsewhere_does_not_poison_it() {
        let cache = Cache::default();
        cache.put(1, 1);
        let panics = std::panic::AssertUnwindSafe(|| cache.update(&1, |_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(cache.get(&1), Some(1));
    }
}
