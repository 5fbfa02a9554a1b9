use proptest::prelude::*;
use rstest::rstest;

use super::*;

const ME: &str = "me";

fn held_by(holder: &str, renewal: i64) -> Stored {
    Stored {
        uid: Some("first".to_owned()),
        holder: Some(holder.to_owned()),
        renewed: Timestamp::from_second(renewal).ok(),
        transitions: 0,
        duration: Some(LEASE_DURATION),
    }
}

fn released() -> Stored {
    Stored { holder: None, ..held_by("", 0) }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a standby decides that saw each `(at, stored)` in turn, at the moment of the last one or `later` seconds after.
#[rstest]
#[case::no_lease(&[(0, None)], 0, Decision::Create)]
#[case::released(&[(0, Some(released()))], 0, Decision::TakeOver)]
#[case::own_earlier_write(&[(0, Some(held_by(ME, 1)))], 0, Decision::Renew)]
#[case::deleted_after_release(&[(0, Some(released())), (1, None)], 0, Decision::Create)]
#[case::released_after_held(&[(0, Some(held_by("b", 1))), (1, Some(released()))], 0, Decision::TakeOver)]
#[case::expired(&[(0, Some(held_by("b", 1)))], 15, Decision::TakeOver)]
#[case::expired_seen_often(
    &[(0, Some(held_by("b", 1))), (7, Some(held_by("b", 1))), (15, Some(held_by("b", 1)))], 0, Decision::TakeOver)]
#[case::recreated(
    &[(0, Some(released())), (1, Some(Stored { uid: None, ..released() }))], 0, Decision::TakeOver)]
#[case::deleted_long_ago(&[(0, Some(held_by("b", 1))), (1, None)], 15, Decision::Create)]
#[case::foreign_duration_is_bounded(
    &[(0, Some(Stored { duration: Some(seconds(86_400)), ..held_by("b", 1) }))], 60, Decision::TakeOver)]
fn a_standby_acts(
    #[case] observation: &[(u64, Option<Stored>)],
    #[case] later: u64,
    #[case] expected: Decision,
) {
    let (candidate, last) = standby(observation);
    assert_eq!(candidate.decide(last + seconds(later)), expected);
}

/// As above; how many seconds after it was first seen the lease is free.
#[rstest]
#[case::held(&[(0, Some(held_by("b", 1)))], 14, 15)]
#[case::renewed(&[(0, Some(held_by("b", 1))), (9, Some(held_by("b", 2)))], 14, 24)]
#[case::renewed_by_a_clock_that_went_back(
    &[(0, Some(held_by("b", 9_000_000))), (9, Some(held_by("b", 2)))], 14, 24)]
#[case::other_holder(&[(0, Some(held_by("b", 1))), (9, Some(held_by("c", 1)))], 14, 24)]
#[case::deleted(&[(0, Some(held_by("b", 1))), (9, None)], 14, 24)]
#[case::still_deleted(&[(0, Some(held_by("b", 1))), (9, None), (10, None)], 13, 24)]
#[case::longer_duration(&[(0, Some(Stored { duration: Some(seconds(30)), ..held_by("b", 1) }))], 29, 30)]
#[case::shorter_duration(&[(0, Some(Stored { duration: Some(seconds(1)), ..held_by("b", 1) }))], 14, 15)]
#[case::no_duration(&[(0, Some(Stored { duration: None, ..held_by("b", 1) }))], 14, 15)]
fn a_standby_waits(#[case] observation: &[(u64, Option<Stored>)], #[case] later: u64, #[case] free_at: u64) {
    let (candidate, last) = standby(observation);
    let first = last - seconds(observation.last().unwrap().0);
    assert_eq!(candidate.decide(last + seconds(later)), Decision::Wait(first + seconds(free_at)));
}

fn standby(observation: &[(u64, Option<Stored>)]) -> (Candidate, Instant) {
    let start = Instant::now();
    let mut candidate = Candidate::new(ME);
    let mut last = start;
    for (at, stored) in observation {
        last = start + seconds(*at);
        candidate.saw(stored.clone(), last);
    }
    (candidate, last)
}

#[rstest]
#[case::own(Some(held_by(ME, 2)), Decision::Renew)]
#[case::taken(Some(held_by("b", 2)), Decision::Lost)]
#[case::cleared(Some(released()), Decision::Lost)]
#[case::deleted(None, Decision::Lost)]
fn a_leader_goes_by_what_is_stored(#[case] stored: Option<Stored>, #[case] expected: Decision) {
    let start = Instant::now();
    let mut candidate = Candidate::new(ME);
    candidate.granted(held_by(ME, 1), start);
    candidate.saw(stored, start + seconds(1));
    assert_eq!(candidate.decide(start + seconds(1)), expected);
}

#[test]
fn a_leader_leads_for_the_renew_deadline_from_when_it_asked() {
    let sent = Instant::now();
    let mut candidate = Candidate::new(ME);
    assert_eq!(candidate.leads_until(sent), None);
    candidate.granted(held_by(ME, 1), sent);
    assert_eq!(candidate.leads_until(sent + seconds(11)), Some(sent + RENEW_DEADLINE));
    assert_eq!(candidate.leads_until(sent + RENEW_DEADLINE), None);
    candidate.step_down();
    assert_eq!(candidate.leads_until(sent), None);
}

#[rstest]
#[case::first(None, 5_000_000, 5_000_000)]
#[case::later(Some(4_000_000), 5_000_000, 5_000_000)]
#[case::same(Some(5_000_000), 5_000_000, 5_000_001)]
#[case::clock_went_back(Some(9_000_000), 5_000_000, 9_000_001)]
fn a_renewal_is_later_than_the_one_before(
    #[case] before: Option<i64>,
    #[case] wall: i64,
    #[case] expected: i64,
) {
    let time = |micros| Timestamp::from_microsecond(micros).unwrap();
    assert_eq!(renewal(before.map(time), time(wall)), time(expected));
}

#[test]
fn the_periods_fit_into_each_other() {
    // Two more attempts after a failed renewal, each as slow as it may be.
    assert!(
        RENEW_PERIOD.mul_f64(1.1) + 2 * CALL_DEADLINE + RETRY_PERIOD.mul_f64(1.1)
            < RENEW_DEADLINE + seconds(1)
    );
    assert!(RENEW_DEADLINE < LEASE_DURATION);
    // Seen up to one period late, then noticed up to one period late; the rest is for the request.
    assert!(LEASE_DURATION + STANDBY_PERIOD.mul_f64(2.2) < seconds(19));
}

/// A lease as the API server keeps it.
#[derive(Default)]
struct Server {
    stored: Option<Stored>,
    version: u64,
}

impl Candidate {
    fn has_seen(&self, stored: Option<&Stored>) -> bool {
        self.observed.as_ref().is_some_and(|observed| observed.stored.as_ref() == stored)
    }
}

impl Server {
    fn write(&mut self, holder: &str, wall: i64) -> Stored {
        self.version += 1;
        let before = self.stored.take();
        let changes_hands = before.as_ref().is_some_and(|before| before.holder.as_deref() != Some(holder));
        let wall = Timestamp::from_second(wall).unwrap();
        let stored = Stored {
            uid: before.as_ref().map_or(Some(self.version.to_string()), |before| before.uid.clone()),
            renewed: Some(renewal(before.as_ref().and_then(|before| before.renewed), wall)),
            transitions: before.map_or(0, |before| before.transitions) + i32::from(changes_hands),
            ..held_by(holder, 0)
        };
        self.stored = Some(stored.clone());
        stored
    }
}

/// One candidate's turn.
#[derive(Debug, Clone)]
struct Turn {
    who: usize,
    /// Milliseconds since the turn before.
    after: u64,
    /// Milliseconds until the read was served, then until the write was.
    delays: [u64; 2],
    /// The answer to the write is lost.
    deaf: bool,
    /// The wall clock that the candidate writes into the lease.
    wall: i64,
    /// Somebody deletes the lease first.
    deleted: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let rare = |weight: u32| prop_oneof![20 => Just(false), weight => Just(true)];
    (0..3_usize, 0..6_000_u64, [0..3_000_u64, 0..3_000_u64], rare(4), 0..50_i64, rare(1)).prop_map(
        |(who, after, delays, deaf, wall, deleted)| Turn { who, after, delays, deaf, wall, deleted },
    )
}

/// Plays turns of three candidates, whose requests overlap in time, against one server. Returns how often leadership was won.
fn play(turns: &[Turn]) -> Result<usize, TestCaseError> {
    let start = Instant::now();
    let mut server = Server::default();
    let mut candidates = ["a", "b", "c"].map(Candidate::new);
    let mut now = start;
    let mut busy_until = [start; 3];
    let mut won = 0;
    // Writes that were sent but not yet served, by the time at which they are.
    let mut writes: Vec<(Instant, Turn, Option<u64>, Instant)> = Vec::new();
    for turn in turns {
        now += Duration::from_millis(turn.after);
        writes.sort_by_key(|(at, ..)| *at);
        while let Some((at, ..)) = writes.first()
            && *at <= now
        {
            let (at, turn, precondition, sent) = writes.remove(0);
            let accepted = match precondition {
                None => server.stored.is_none(),
                Some(version) => server.stored.is_some() && server.version == version,
            };
            if accepted {
                let stored = server.write(candidates[turn.who].identity(), turn.wall);
                if !turn.deaf {
                    let candidate = &mut candidates[turn.who];
                    won += usize::from(candidate.leads_until(at).is_none());
                    candidate.granted(stored, sent);
                }
            }
            check(&candidates, at)?;
        }
        if busy_until[turn.who] > now {
            continue;
        }
        // A replica that saw neither the holder nor its absence since cannot know of it: not claimed to be safe.
        if turn.deleted && candidates.iter().all(|one| one.has_seen(server.stored.as_ref())) {
            server.stored = None;
        }
        // The answer describes the lease as it is now, but arrives later.
        let arrived = now + Duration::from_millis(turn.delays[0]);
        let candidate = &mut candidates[turn.who];
        if candidate.leads_until(now).is_none() {
            candidate.step_down();
        }
        candidate.saw(server.stored.clone(), arrived);
        let precondition = match candidate.decide(arrived) {
            Decision::Wait(_) => continue,
            Decision::Lost => {
                candidate.step_down();
                continue;
            }
            Decision::Create => None,
            Decision::TakeOver | Decision::Renew => Some(server.version),
        };
        let lands = arrived + Duration::from_millis(turn.delays[1]);
        busy_until[turn.who] = lands;
        writes.push((lands, turn.clone(), precondition, arrived));
        check(&candidates, now)?;
    }
    Ok(won)
}

fn check(candidates: &[Candidate], now: Instant) -> Result<(), TestCaseError> {
    let leaders: Vec<_> =
        candidates.iter().filter(|one| one.leads_until(now).is_some()).map(Candidate::identity).collect();
    prop_assert!(leaders.len() <= 1, "{leaders:?} lead at the same time");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn never_two_leaders(turns in prop::collection::vec(turn(), 1..120)) {
        play(&turns)?;
    }
}

#[test]
fn the_play_has_leaders_and_changes_of_hands() {
    let turns: Vec<_> = (0..200)
        .map(|i| Turn {
            who: if i < 100 { i % 3 } else { 1 + i % 2 },
            after: 1_000,
            delays: [5, 5],
            deaf: false,
            wall: i64::try_from(i).unwrap(),
            deleted: false,
        })
        .collect();
    assert_eq!(play(&turns).unwrap(), 2);
}
