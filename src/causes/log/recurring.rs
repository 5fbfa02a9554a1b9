//! Failures of which no rule knows what they are a sign of, where they come back.

use std::collections::{BTreeMap, VecDeque};

use super::location::LogLocation;
use super::quoted::{LOOP, RETRIEVING, quoted_exception};
use crate::logs::{
    event::{Event, Exception, Level, Origin, Place},
    time::Moment,
};

/// Failures of one kind within [`WINDOW_SECONDS`] from which on it comes back rather than happened: browsers and
/// Flagsmith's SDKs repeat a request that failed up to three times by themselves.
pub(crate) const OFTEN: usize = 5;
/// The same for workers, each of which takes the requests of all of its threads with it.
const OFTEN_FOR_WORKERS: usize = 3;
/// See [`OFTEN`]: as long as somebody needs who works in the dashboard to come across the same fault a few times, and
/// longer than the refresh intervals of SDKs, which are a minute by default.
const WINDOW_SECONDS: i64 = 600;
/// The most kinds of failures that are kept apart; an installation in trouble has a handful.
const KINDS: usize = 64;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// A request, with status 500.
    Request,
    /// The task processor's question for the next tasks.
    TaskLoop,
    /// One of Gunicorn's workers, which ended of it.
    Worker,
    /// Anything else that was logged as an error, or that ended a thread.
    Other,
}

/// How often something happened, and whether so quickly that it comes back.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    /// How many times.
    pub(crate) count: u64,
    /// The times of the last ones, at most `often`.
    recent: VecDeque<Option<Moment>>,
    often: usize,
    comes_back: bool,
}

impl Rate {
    /// Of something that comes back from so many times within ten minutes on.
    pub(crate) const fn new(often: usize) -> Self {
        Self { count: 0, recent: VecDeque::new(), often, comes_back: false }
    }

    /// Once more, at this time.
    pub(crate) fn note(&mut self, time: Option<Moment>) {
        self.count += 1;
        if self.recent.len() >= self.often {
            self.recent.pop_front();
        }
        self.recent.push_back(time);
        self.comes_back |= self.recent.len() >= self.often && self.is_within_window();
    }

    /// Whether it comes back.
    pub(crate) const fn comes_back(&self) -> bool {
        self.comes_back
    }

    /// Whether the last ones came within the window; a log without times is one window.
    fn is_within_window(&self) -> bool {
        let (first, last) = (self.recent.front(), self.recent.back());
        let times = first.copied().flatten().zip(last.copied().flatten());
        times.is_none_or(|(first, last)| last.seconds_since(first).abs() <= WINDOW_SECONDS)
    }
}

/// The failures, by kind.
#[derive(Debug, Default)]
pub(crate) struct Recurring {
    kinds: BTreeMap<(Work, String, Option<Place>), Failed>,
}

/// What failed with the same class of exception at the same place.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The exception's dotted class; empty where the log does not have it.
    pub(crate) class: String,
    /// Where it was raised.
    pub(crate) place: Option<Place>,
    /// The first time.
    pub(crate) first: LogLocation,
    /// The last time.
    pub(crate) last: LogLocation,
    /// How often.
    pub(crate) rate: Rate,
}

impl Recurring {
    /// Notes an event that no rule recognises.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        let Some(work) = work(event) else {
            return;
        };
        let (class, place, location) = what(event, work, input);
        let kind = (work, class.clone(), place.clone());
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            return;
        }
        let often = if work == Work::Worker { OFTEN_FOR_WORKERS } else { OFTEN };
        let known = self.kinds.entry(kind).or_insert_with(|| Failed {
            class,
            place,
            first: location.clone(),
            last: location.clone(),
            rate: Rate::new(often),
        });
        known.last = location;
        known.rate.note(event.time);
    }

    /// The kinds that come back, the most frequent first.
    pub(crate) fn of(&self, work: Work) -> Vec<&Failed> {
        let kinds = self.kinds.iter().filter(|((of, ..), _)| *of == work).map(|(_, failed)| failed);
        let mut repeated: Vec<_> = kinds.filter(|failed| failed.rate.comes_back()).collect();
        repeated.sort_by_key(|failed| std::cmp::Reverse(failed.rate.count));
        repeated
    }
}

impl Failed {
    /// ` at /app/features/views.py, line 58, in create`, or nothing.
    pub(crate) fn at(&self) -> String {
        self.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"))
    }

    /// The class, or that the log has none.
    pub(crate) fn named(&self) -> &str {
        if self.class.is_empty() { "an error whose traceback is not in the log" } else { &self.class }
    }
}

/// ` Another error comes back as well.`, or nothing.
pub(crate) fn and_others(kinds: usize) -> String {
    match kinds {
        0 | 1 => String::new(),
        2 => " Another error comes back as well.".to_owned(),
        kinds => format!(" {} other errors come back as well.", kinds - 1),
    }
}

/// Ends of a process or of a worker that are none of a failure: told to stop, or its client has gone. A reset or a broken
/// pipe is none of these: it may be a service's, and a client's comes as `UnreadablePostError`.
const NO_FAULT: &[&str] = &["UnreadablePostError", "SystemExit", "KeyboardInterrupt", "HaltServer"];

/// What psycopg2 says of a byte that PostgreSQL's texts cannot have. No browser sends it; scanners do, to any address.
const NUL: &str = "A string literal cannot contain NUL (0x00) characters.";

/// What failed, as whoever ran it says. The path of a request is the client's: nothing is read from it but whether it is
/// one of the health checks, which say why they fail in a way of their own.
fn work(event: &Event) -> Option<Work> {
    let last = event.last_exception();
    if last.is_some_and(is_no_fault) || event.level.is_some_and(|level| level < Level::Error) {
        return None;
    }
    let message = event.message.as_str();
    if event.origin != Origin::Record {
        let of_thread = event.frames.thread && !event.frames.coordinator && last.is_some();
        return of_thread.then_some(Work::Other);
    }
    let logger = event.logger.as_str();
    if matches!(logger, "" | "django.request")
        && let Some(path) = message.strip_prefix("Internal Server Error: ")
    {
        let failed = if last.is_some() { event.frames.request } else { !path.starts_with("/health") };
        return failed.then_some(Work::Request);
    }
    if message.starts_with(LOOP) || message.starts_with(RETRIEVING) {
        return (!is_cancelled(event)).then_some(Work::TaskLoop);
    }
    last?;
    if message.starts_with("Error handling request") {
        return Some(Work::Request);
    }
    if message.starts_with("Exception in worker process") {
        return Some(Work::Worker);
    }
    // What becomes of single tasks is counted by task.
    let known = message.starts_with("Failed to execute task ") || event.frames.migrate;
    (!known && !event.is_worded_by_a_client() && !logger.starts_with("gunicorn")).then_some(Work::Other)
}

/// Whether the question for the next tasks was cancelled: what that means is a cause of its own.
pub(crate) fn is_cancelled(event: &Event) -> bool {
    event.chain.iter().any(|it| it.class.ends_with(".QueryCanceled"))
        || event.message.contains("canceling statement due to statement timeout")
}

fn is_no_fault(exception: &Exception) -> bool {
    let class = exception.class.rsplit('.').next().unwrap_or_default();
    NO_FAULT.contains(&class) || class == "ValueError" && exception.message == NUL
}

/// Class and place of what failed, and where the log says it.
fn what(event: &Event, work: Work, input: u16) -> (String, Option<Place>, LogLocation) {
    if let Some(exception) = event.last_exception() {
        let location = LogLocation {
            input,
            line: exception.line,
            time: event.time,
            class: exception.class.clone(),
            message: exception.message.clone(),
        };
        return (exception.class.clone(), exception.place.clone(), location);
    }
    let quoted = if work == Work::TaskLoop { quoted_exception(&event.message) } else { None };
    let class = quoted.map_or_else(String::new, |(class, _)| class.to_owned());
    (class, None, LogLocation::of(event, input))
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
            place: Place::read("  File \"/app/features/views.py\", line 58, in create", None),
        });
        event
    }

    fn repeated(events: &[Event]) -> Vec<(String, u64)> {
        let mut requests = Recurring::default();
        for event in events {
            requests.observe(event, 0);
        }
        let kinds = requests.of(Work::Request);
        kinds.iter().map(|kind| (kind.class.clone(), kind.rate.count)).collect()
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
    #[case::a_health_check(|event: &mut Event| {
        event.chain.clear();
        event.message = "Internal Server Error: /health/readiness/".to_owned();
    })]
    #[case::a_client_that_left(|event: &mut Event| event.chain[0].class = "SystemExit".to_owned())]
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

    #[test]
    fn a_log_without_tracebacks_tells_that_requests_fail() {
        let events: Vec<Event> = (0..5)
            .map(|line| {
                let mut event = failed(line, None, "KeyError");
                event.chain.clear();
                event
            })
            .collect();
        assert_eq!(repeated(&events), [(String::new(), 5)]);
    }

    /// Who failed, by what the process itself says of it.
    #[rstest]
    #[case::gunicorn("gunicorn.error", "Error handling request /api/v1/flags/", Some(Work::Request))]
    #[case::a_worker("gunicorn.error", "Exception in worker process", Some(Work::Worker))]
    #[case::the_loop(
        "task_processor.threads",
        "Error handling tasks from database 'default': x.E('y')",
        Some(Work::TaskLoop)
    )]
    #[case::the_old_loop(
        "task_processor.threads",
        "Received error retrieving tasks: y.",
        Some(Work::TaskLoop)
    )]
    #[case::a_logger("webhooks.webhooks", "Failed to send", Some(Work::Other))]
    #[case::a_task("task_processor.processor", "Failed to execute task 'a', with id 1. Exception: x", None)]
    #[case::a_client("django.request", "Not Found: /x", None)]
    #[case::gunicorn_itself("gunicorn.error", "Socket error processing request.", None)]
    fn who_failed(#[case] logger: &str, #[case] message: &str, #[case] expected: Option<Work>) {
        let mut event = failed(1, None, "ValueError");
        logger.clone_into(&mut event.logger);
        message.clone_into(&mut event.message);
        assert_eq!(work(&event), expected);
        event.level = Some(Level::Warning);
        assert_eq!(work(&event), None);
    }
}
