//! Requests that failed with an exception of which no rule knows what it is a sign of.

use std::collections::{BTreeMap, VecDeque};

use super::evidence::LogLocation;
use crate::logs::{
    event::{Event, Exception, Level, Place},
    time::Moment,
};

/// Failures of one kind within [`WINDOW_SECONDS`] from which on it comes back rather than happened: browsers and
/// Flagsmith's SDKs repeat a request that failed up to three times by themselves.
pub(crate) const OFTEN: usize = 5;
/// See [`OFTEN`]: as long as somebody needs who works in the dashboard to come across the same fault a few times, and
/// longer than the refresh intervals of SDKs, which are a minute by default.
const WINDOW_SECONDS: i64 = 600;
/// The most kinds of failures that are kept apart; an installation in trouble has a handful.
const KINDS: usize = 64;

/// The requests that failed, by kind.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    kinds: BTreeMap<(String, Option<Place>), FailedRequests>,
}

/// Requests that failed with the same class of exception at the same place.
#[derive(Debug)]
pub(crate) struct FailedRequests {
    /// The exception's dotted class.
    pub(crate) class: String,
    /// Where it was raised.
    pub(crate) place: Option<Place>,
    /// The first time.
    pub(crate) first: LogLocation,
    /// The last time.
    pub(crate) last: LogLocation,
    /// How many.
    pub(crate) count: u64,
    /// The times of the last ones, at most [`OFTEN`].
    recent: VecDeque<Option<Moment>>,
    /// So many of them came so quickly that it comes back.
    often: bool,
}

impl Requests {
    /// Notes a request that failed.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        let Some(exception) = of_request(event) else {
            return;
        };
        let kind = (exception.class.clone(), exception.place.clone());
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            return;
        }
        let location = LogLocation {
            line: exception.line,
            class: exception.class.clone(),
            message: exception.message.clone(),
            ..LogLocation::of(event, input)
        };
        let known = self.kinds.entry(kind).or_insert_with(|| FailedRequests {
            class: exception.class.clone(),
            place: exception.place.clone(),
            first: location.clone(),
            last: location.clone(),
            count: 0,
            recent: VecDeque::new(),
            often: false,
        });
        known.last = location;
        known.count += 1;
        if known.recent.len() >= OFTEN {
            known.recent.pop_front();
        }
        known.recent.push_back(event.time);
        known.often |= known.recent.len() >= OFTEN && known.is_within_window();
    }

    /// The kinds that come back, the most frequent first.
    pub(crate) fn repeated(&self) -> Vec<&FailedRequests> {
        let mut repeated: Vec<_> = self.kinds.values().filter(|kind| kind.often).collect();
        repeated.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        repeated
    }
}

impl FailedRequests {
    /// Whether the last ones came within the window; a log without times is one window.
    fn is_within_window(&self) -> bool {
        let (first, last) = (self.recent.front(), self.recent.back());
        let times = first.copied().flatten().zip(last.copied().flatten());
        times.is_none_or(|(first, last)| last.seconds_since(first).abs() <= WINDOW_SECONDS)
    }
}

/// The exception that Django's handler turned into status 500, where it says so itself (`log_response` of
/// `django.request`). The path in that record is the client's: nothing is read from it.
fn of_request(event: &Event) -> Option<&Exception> {
    let of_django = matches!(event.logger.as_str(), "" | "django.request");
    let failed = of_django
        && event.level == Some(Level::Error)
        && event.frames.request
        && event.message.starts_with("Internal Server Error: ");
    event.last_exception().filter(|_| failed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::logs::event::{Link, Origin};

    fn failed(line: u64, seconds: Option<i64>, class: &str) -> Event {
        let mut event = Event::new(line, 0, Origin::Record);
        event.level = Some(Level::Error);
        event.logger = "django.request".to_owned();
        event.message = format!("Internal Server Error: /api/v1/{line}/");
        event.time = seconds.map(|seconds| Moment(seconds * 1_000_000));
        event.frames.note("  File \"/x/django/core/handlers/base.py\", line 197, in _get_response");
        event.push_exception(Exception {
            line,
            class: class.to_owned(),
            message: String::new(),
            link: Link::First,
            place: Place::read("  File \"/app/features/views.py\", line 58, in create"),
        });
        event
    }

    fn repeated(events: &[Event]) -> Vec<(String, u64)> {
        let mut requests = Requests::default();
        for event in events {
            requests.observe(event, 0);
        }
        let kinds = requests.repeated();
        kinds.iter().map(|kind| (kind.class.clone(), kind.count)).collect()
    }

    #[rstest]
    #[case::quickly(&[0, 1, 2, 3, 4], true)]
    #[case::within_the_window(&[0, 150, 300, 450, 600], true)]
    #[case::now_and_then(&[0, 200, 400, 600, 800, 1000, 1200], false)]
    #[case::often_only_later(&[0, 5000, 10_000, 10_001, 10_002, 10_003, 10_004], true)]
    #[case::retried(&[0, 1, 2, 3], false)]
    fn the_rate_counts(#[case] times: &[i64], #[case] expected: bool) {
        let events: Vec<Event> =
            (1..).zip(times).map(|(line, time)| failed(line, Some(*time), "KeyError")).collect();
        assert_eq!(!repeated(&events).is_empty(), expected);
    }

    #[test]
    fn kinds_are_counted_apart_and_the_most_frequent_comes_first() {
        let mut events: Vec<Event> = (0..6).map(|line| failed(line, None, "KeyError")).collect();
        events.extend((0..9).map(|line| failed(line, None, "redis.exceptions.ConnectionError")));
        events.extend((0..4).map(|line| failed(line, None, "ValueError")));
        assert_eq!(
            repeated(&events),
            [("redis.exceptions.ConnectionError".to_owned(), 9), ("KeyError".to_owned(), 6)]
        );
    }

    /// What a client can have written, and what is none of a request.
    #[rstest]
    #[case::in_a_path(|event: &mut Event| event.message = "Not Found: /Internal Server Error: /x".to_owned())]
    #[case::of_another(|event: &mut Event| event.logger = "gunicorn.error".to_owned())]
    #[case::a_warning(|event: &mut Event| event.level = Some(Level::Warning))]
    #[case::without_a_traceback(|event: &mut Event| event.chain.clear())]
    #[case::outside_of_the_handler(|event: &mut Event| event.frames.request = false)]
    fn nothing_else_is_a_failed_request(#[case] change: fn(&mut Event)) {
        let events: Vec<Event> = (0..9)
            .map(|line| {
                let mut event = failed(line, None, "KeyError");
                change(&mut event);
                event
            })
            .collect();
        assert_eq!(repeated(&events), []);
    }
}
