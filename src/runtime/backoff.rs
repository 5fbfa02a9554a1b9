//! How long an object waits after a pass over it has failed.

use std::{collections::HashMap, fmt, hash::Hash, sync::Mutex, time::Duration};

use rand::{Rng, RngExt as _};

/// The shortest wait: a conflict or a restarting neighbour is usually over within a second.
pub(crate) const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait. Most causes end with an event that starts a pass at once; this bounds how late the
/// operator notices the others (a database that came back, a right that was granted).
pub(crate) const LONGEST: Duration = Duration::from_mins(5);

/// How many failing objects are remembered: ten times the largest installation count that is measured.
/// Beyond it the one that failed longest ago starts over at [`SHORTEST`]; memory stays below 2 MiB.
pub(crate) const REMEMBERED: usize = 10_000;

/// By how much a periodic wait is moved, as a fraction of it, so that replicas do not act in step.
const JITTER: f64 = 0.1;

/// The wait after the `failures`-th failure in a row (1 = the first): evenly distributed between
/// [`SHORTEST`] and a ceiling that doubles with each failure (2 s, 4 s, …) up to [`LONGEST`].
///
/// The whole range is random ("full jitter"), so that objects that failed together do not return together.
pub(crate) fn next(failures: u32, rng: &mut impl Rng) -> Duration {
    let ceiling = 2_u32
        .checked_pow(failures.max(1))
        .and_then(|factor| SHORTEST.checked_mul(factor))
        .map_or(LONGEST, |ceiling| ceiling.min(LONGEST));
    rng.random_range(SHORTEST..=ceiling)
}

/// `period`, moved at random by up to a tenth of it to either side.
pub(crate) fn jittered(period: Duration, rng: &mut impl Rng) -> Duration {
    period.mul_f64(rng.random_range(1.0 - JITTER..=1.0 + JITTER))
}

/// How often each object has failed in a row, for at most [`REMEMBERED`] objects.
pub(crate) struct Failures<K> {
    capacity: usize,
    entries: Mutex<Entries<K>>,
}

struct Entries<K> {
    /// Counts failures of any object; orders the entries by when they failed last.
    clock: u64,
    by_key: HashMap<K, Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    failures: u32,
    last: u64,
}

impl<K: Eq + Hash + Clone> Failures<K> {
    /// An empty memory for [`REMEMBERED`] objects.
    pub(crate) fn new() -> Self {
        Self::with_capacity(REMEMBERED)
    }

    /// An empty memory for `capacity` objects (at least one).
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: Mutex::new(Entries { clock: 0, by_key: HashMap::new() }) }
    }

    /// Counts a failure of `key` and says how long to wait before it is tried again.
    pub(crate) fn failed(&self, key: &K, rng: &mut impl Rng) -> Duration {
        next(self.count(key), rng)
    }

    /// Forgets the failures of `key`: it succeeded, was changed by a user, or is gone.
    pub(crate) fn forget(&self, key: &K) {
        self.lock().by_key.remove(key);
    }

    fn count(&self, key: &K) -> u32 {
        let mut entries = self.lock();
        if entries.by_key.len() >= self.capacity && !entries.by_key.contains_key(key) {
            // A scan, but only when thousands of objects fail at the same time.
            let oldest =
                entries.by_key.iter().min_by_key(|(_, entry)| entry.last).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                entries.by_key.remove(&oldest);
            }
        }
        entries.clock += 1;
        let now = entries.clock;
        let entry = entries.by_key.entry(key.clone()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
        entry.failures
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries<K>> {
        // A panic while the lock was held leaves at worst one count wrong.
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Default for Failures<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> fmt::Debug for Failures<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::StdRng};
    use rstest::rstest;

    use super::*;

    /// The largest of many draws, which comes close to the ceiling.
    fn ceiling(failures: u32) -> Duration {
        let mut rng = StdRng::seed_from_u64(7);
        (0..2_000).map(|_| next(failures, &mut rng)).max().unwrap_or_default()
    }

    #[rstest]
    #[case(0, 2)]
    #[case(1, 2)]
    #[case(2, 4)]
    #[case(3, 8)]
    #[case(8, 256)]
    #[case(9, 300)]
    #[case(31, 300)]
    #[case(32, 300)]
    #[case(u32::MAX, 300)]
    fn the_ceiling_doubles_up_to_five_minutes(#[case] failures: u32, #[case] seconds: u64) {
        let expected = Duration::from_secs(seconds);
        let observation = ceiling(failures);
        assert!(observation <= expected, "{observation:?}");
        assert!(observation >= expected.mul_f64(0.98), "{observation:?} is far from {expected:?}");
    }

    #[test]
    fn the_whole_range_is_used() {
        let mut rng = StdRng::seed_from_u64(7);
        let draws: Vec<_> = (0..2_000).map(|_| next(9, &mut rng)).collect();
        assert!(draws.iter().filter(|wait| **wait < Duration::from_mins(1)).count() > 200);
        assert!(draws.iter().filter(|wait| **wait > Duration::from_mins(4)).count() > 200);
    }

    proptest! {
        #[test]
        fn every_wait_lies_within_its_bounds(failures: u32, seed: u64) {
            let wait = next(failures, &mut StdRng::seed_from_u64(seed));
            prop_assert!((SHORTEST..=LONGEST).contains(&wait));
        }

        #[test]
        fn jitter_stays_within_a_tenth(millis in 0_u64..600_000, seed: u64) {
            let period = Duration::from_millis(millis);
            let moved = jittered(period, &mut StdRng::seed_from_u64(seed));
            prop_assert!(moved >= period.mul_f64(0.899) && moved <= period.mul_f64(1.101));
        }

        #[test]
        fn the_memory_is_bounded(keys in prop::collection::vec(0_u16..100, 0..300)) {
            let failures = Failures::with_capacity(10);
            for key in keys {
                failures.count(&key);
                prop_assert!(failures.lock().by_key.len() <= 10);
            }
        }
    }

    #[test]
    fn failures_in_a_row_are_counted_by_object_and_forgotten_on_success() {
        let failures = Failures::new();
        assert_eq!([failures.count(&"a"), failures.count(&"a"), failures.count(&"b")], [1, 2, 1]);
        failures.forget(&"a");
        assert_eq!([failures.count(&"a"), failures.count(&"b")], [1, 2]);
    }

    #[test]
    fn the_object_that_failed_longest_ago_makes_room() {
        let failures = Failures::with_capacity(2);
        for key in ["old", "new", "old", "third"] {
            failures.count(&key);
        }
        // "new" was dropped: "old" failed again after it.
        assert_eq!([failures.count(&"old"), failures.count(&"new")], [3, 1]);
    }
}
