//! A schedule can be run again: the same seed makes the same requests in the same order. That is so with one installation:
//! of two that are due at one moment the client library takes either first.

use crate::{apart, schedule};

/// Seeds that are run twice, with one replica and with two.
const SEEDS: std::ops::Range<u64> = 0..6;

#[test]
fn a_seed_runs_the_same_schedule_again() {
    for seed in SEEDS {
        let [first, second] = std::array::from_fn(|_| {
            apart(seed, move || schedule(seed, false)).flatten().map(|ran| ran.journal).unwrap()
        });
        let differ = first.iter().zip(&second).position(|(first, second)| first != second);
        if let Some(place) = differ {
            let from = place.saturating_sub(20);
            let of = |journal: &[String]| journal[from..(place + 5).min(journal.len())].join("\n");
            panic!("seed {seed} is another one the second time:\n{}\n\n{}", of(&first), of(&second));
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
