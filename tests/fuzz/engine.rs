//! Changes to samples, and the loop around them.

use std::time::{Duration, Instant};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{TestCaseResult, TestError, TestRunner},
};

/// How long a target is tried unless `FUZZ_SECONDS` says otherwise.
const USUALLY: Duration = Duration::from_secs(600);

/// Cases between two looks at the clock.
const CASES: u32 = 32;

/// Steps by which a case that fails is made smaller.
const SHRINKING: u32 = 4_000;

/// Changes of one sample.
const CHANGES: usize = 12;

/// Bytes of a case: with more, fewer are tried.
const LONGEST: usize = 128 * 1024;

/// How often a piece is repeated at most.
const REPEATED: usize = 4_096;

/// One change of a sample.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Delete(Index, usize),
    Repeat(Index, usize, usize),
    Splice(Index, Index, Index, usize),
    Truncate(Index),
}

/// Tries a target until its time is over; panics with the smallest case that fails.
pub fn fuzz<S: Strategy>(name: &str, strategy: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let limit = std::env::var("FUZZ_SECONDS").map_or(USUALLY, |it| Duration::from_secs(it.parse().unwrap()));
    let begun = Instant::now();
    let mut cases = 0;
    while begun.elapsed() < limit {
        let config = ProptestConfig {
            cases: CASES,
            max_shrink_iters: SHRINKING,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        match TestRunner::new(config).run(strategy, &test) {
            Ok(()) => cases += CASES,
            Err(TestError::Fail(why, case)) => panic!("{name}, after {cases} cases: {why}\n{case:?}"),
            Err(TestError::Abort(why)) => panic!("{name}: {why}"),
        }
    }
    println!("{name}: nothing found in {cases} cases and {} s", begun.elapsed().as_secs());
}

/// One of these samples, changed.
pub fn changed(samples: Vec<Vec<u8>>, words: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let one = any::<Index>().prop_map({
        let samples = samples.clone();
        move |sample| sample.get(&samples).clone()
    });
    changes(one, samples, words)
}

/// What a strategy gives, changed; pieces of other samples may come in.
pub fn changes(
    given: impl Strategy<Value = Vec<u8>>,
    samples: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
) -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), prop::sample::select(words))
            .prop_map(|(at, word)| Change::Insert(at, word.to_vec())),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..16))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1..256_usize).prop_map(|(at, length)| Change::Delete(at, length)),
        (any::<Index>(), 1..64_usize, prop_oneof![9 => 2..16_usize, 1 => 16..REPEATED])
            .prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (any::<Index>(), any::<Index>(), any::<Index>(), 1..512_usize)
            .prop_map(|(at, sample, from, length)| Change::Splice(at, sample, from, length)),
        any::<Index>().prop_map(Change::Truncate),
    ];
    (given, prop::collection::vec(one, 0..CHANGES)).prop_map(move |(mut bytes, changes)| {
        for change in changes {
            apply(&mut bytes, change, &samples);
            bytes.truncate(LONGEST);
        }
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, change: Change, samples: &[Vec<u8>]) {
    // An index into one more, so that the end counts.
    let place = |at: Index, bytes: &[u8]| at.index(bytes.len() + 1);
    let piece =
        |from: usize, length: usize, bytes: &[u8]| bytes[from..(from + length).min(bytes.len())].to_vec();
    match change {
        Change::Set(at, byte) => {
            let at = place(at, bytes);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        Change::Insert(at, word) => {
            let at = place(at, bytes);
            bytes.splice(at..at, word);
        }
        Change::Delete(at, length) => {
            let at = place(at, bytes);
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Change::Repeat(at, length, times) => {
            let at = place(at, bytes);
            let repeated = piece(at, length, bytes).repeat(times);
            bytes.splice(at..at, repeated);
        }
        Change::Splice(at, sample, from, length) => {
            let other = sample.get(samples);
            let part = piece(place(from, other), length, other);
            let at = place(at, bytes);
            bytes.splice(at..at, part);
        }
        Change::Truncate(at) => bytes.truncate(place(at, bytes)),
    }
}
