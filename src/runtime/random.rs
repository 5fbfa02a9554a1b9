//! Chance, for waits that are spread: the one place that it comes from, so that a test can have the same again. What
//! must not be guessed (passwords, keys, the name of a process) comes from the operating system instead.

use std::cell::RefCell;

use rand::{SeedableRng as _, rngs::StdRng};

thread_local! {
    /// What this thread was told to draw from.
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// A generator that nobody else has.
#[must_use]
pub(crate) fn rng() -> StdRng {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => StdRng::from_rng(seeded),
        None => StdRng::from_rng(&mut rand::rng()),
    })
}

/// From now on this thread draws the same as every other that was given this seed. For tests.
pub fn seed(seed: u64) {
    SEEDED.set(Some(StdRng::seed_from_u64(seed)));
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    fn draws() -> [u64; 3] {
        std::array::from_fn(|_| rng().random())
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        seed(7);
        let first = draws();
        assert_ne!(first[0], first[1]);
        seed(7);
        assert_eq!(draws(), first);
        seed(8);
        assert_ne!(draws(), first);
    }
}
