//! The latest lines of a followed log, and when they are worth a look. Pure but for the clock that it is handed.

use std::{collections::VecDeque, sync::LazyLock, time::Duration};

use aho_corasick::AhoCorasick;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{findings::SILENT, request::SAMPLE};

/// The bytes of lines that are kept: some minutes of a busy API's requests, and any traceback.
const KEPT: usize = 128 << 10;

/// How long after a line that tells of trouble the lines are looked at: what explains it follows. Gunicorn kills a worker
/// a second or two after it has said that the worker's time is over.
const SETTLED: Duration = Duration::from_secs(3);

/// The least time between two looks, however much trouble a log tells of.
const APART: Duration = Duration::from_secs(10);

/// How long after a look at lines that tell of trouble the next one follows: whether it goes on shows by then.
const AFTER_TROUBLE: Duration = SILENT.unsigned_abs();

/// What a line contains that tells of trouble, in any case of letters. Most lines that contain it do not.
static TROUBLE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(["error", "critical", "warning", "fatal", "exception", "traceback", "signal"])
        .ok()
});

/// The latest lines of a log.
#[derive(Debug)]
pub(super) struct Window {
    lines: VecDeque<(Timestamp, Vec<u8>)>,
    bytes: usize,
    /// When it was looked at last.
    looked: Instant,
    /// It showed lines that tell of trouble.
    was_trouble: bool,
    /// When the first line came that tells of trouble, since then.
    trouble: Option<Instant>,
    /// Lines came since then.
    grown: bool,
}

impl Window {
    /// One without lines.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            looked: now,
            was_trouble: false,
            trouble: None,
            grown: false,
        }
    }

    /// Takes a line in, in exchange for the oldest where there is no room.
    pub(super) fn take(&mut self, logged: Timestamp, line: Vec<u8>, now: Instant) {
        if self.trouble.is_none() && TROUBLE.as_ref().is_none_or(|trouble| trouble.is_match(&line)) {
            self.trouble = Some(now);
        }
        self.grown = true;
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back((logged, line));
        while self.bytes > KEPT {
            self.drop_oldest();
        }
    }

    /// When to look at it: as often as at a log that is sampled, soon after a line that tells of trouble, and once more
    /// when it should have come back.
    pub(super) fn due(&self) -> Instant {
        let regular = self.looked + if self.was_trouble { AFTER_TROUBLE } else { SAMPLE.unsigned_abs() };
        self.trouble.map_or(regular, |since| (since + SETTLED).max(self.looked + APART).min(regular))
    }

    /// The lines of a little more than the time between two regular looks, with the kubelet's time of the first; `None`
    /// where none came since the last look.
    pub(super) fn look(&mut self, now: Instant, at: Timestamp) -> Option<(Timestamp, Vec<u8>)> {
        self.looked = now;
        self.was_trouble = self.trouble.take().is_some();
        let since =
            at.checked_sub(SAMPLE).and_then(|since| since.checked_sub(APART)).unwrap_or(Timestamp::MIN);
        while self.lines.front().is_some_and(|(logged, _)| *logged < since) {
            self.drop_oldest();
        }
        let grown = std::mem::take(&mut self.grown);
        let first = self.lines.front().filter(|_| grown)?.0;
        let mut text = Vec::with_capacity(self.bytes.saturating_add(self.lines.len()));
        for (_, line) in &self.lines {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        Some((first, text))
    }

    fn drop_oldest(&mut self) {
        if let Some((_, line)) = self.lines.pop_front() {
            self.bytes = self.bytes.saturating_sub(line.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000 + second).unwrap()
    }

    /// A window, and the moment that its times are counted from.
    fn window() -> (Window, Instant) {
        let start = Instant::now();
        (Window::new(start), start)
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn is_due_regularly_and_soon_after_trouble() {
        let (mut window, start) = window();
        window.take(at(1), b"GET /health 200".to_vec(), start + seconds(1));
        assert_eq!(window.due(), start + seconds(55));
        window.take(at(20), b"[CRITICAL] WORKER TIMEOUT (pid:7)".to_vec(), start + seconds(20));
        assert_eq!(window.due(), start + seconds(23));
        window.take(at(22), b"[ERROR] Worker was sent SIGKILL".to_vec(), start + seconds(22));
        assert_eq!(window.due(), start + seconds(23), "more of it does not put the look off");
        window.look(start + seconds(23), at(23)).unwrap();
        window.take(at(24), b"Error".to_vec(), start + seconds(24));
        assert_eq!(window.due(), start + seconds(33), "a log that is full of errors is looked at as often");
        window.look(start + seconds(33), at(33)).unwrap();
        assert_eq!(window.due(), start + seconds(63), "whether it goes on");
        window.look(start + seconds(63), at(63));
        assert_eq!(window.due(), start + seconds(118), "it does not");
        window.take(at(117), b"Error".to_vec(), start + seconds(117));
        assert_eq!(window.due(), start + seconds(118), "nor later than without");
    }

    #[test]
    fn shows_what_came_lately_when_something_came() {
        let (mut window, start) = window();
        assert_eq!(window.look(start, at(0)), None);
        window.take(at(0), b"old".to_vec(), start);
        window.take(at(40), b"one".to_vec(), start);
        window.take(at(50), b"two".to_vec(), start);
        assert_eq!(window.look(start, at(70)), Some((at(40), b"one\ntwo\n".to_vec())));
        assert_eq!(window.look(start, at(71)), None, "looked at already");
        window.take(at(72), b"three".to_vec(), start);
        assert_eq!(
            window.look(start, at(73)),
            Some((at(40), b"one\ntwo\nthree\n".to_vec())),
            "rates need them all"
        );
    }

    #[test]
    fn keeps_the_latest_of_a_flood() {
        let (mut window, start) = window();
        for _ in 0..1_000 {
            window.take(at(1), vec![b'x'; 1 << 10], start);
        }
        assert!(window.bytes <= KEPT && window.lines.len() == 128);
        window.take(at(2), vec![b'x'; KEPT + 1], start);
        assert_eq!((window.bytes, window.lines.len()), (0, 0));
    }
}
