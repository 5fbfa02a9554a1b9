//! Follows the logs of pods that are well: what they say is known within seconds, and no request is made meanwhile.

use std::{collections::HashMap, io, time::Duration};

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::window::Window;
use crate::runtime::clock;

/// Logs that are followed at once, over all installations: each is a connection to the API server and to a kubelet. The
/// others are sampled.
pub(super) const AT_ONCE: usize = 64;

/// Of these, those of one namespace.
pub(super) const OF_A_NAMESPACE: usize = 16;

/// How long one request follows a log: a connection whose other end is gone says nothing, like a pod without requests.
const LIFETIME: Duration = Duration::from_mins(15);

/// What a log may bring until its next look: ten thousand requests a minute. A log that brings more is sampled.
const MOST: usize = 4 << 20;

/// Bytes of lines that are taken before other tasks get a turn, less than a millisecond of work: a flood that has arrived
/// already would be taken to its end otherwise.
const SLICE: usize = 64 << 10;

/// The longest line that is kept: longer ones are cut.
const LONGEST: usize = 32 << 10;

/// How long a log is sampled that could not be followed.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// The logs of one installation that are followed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    by_pod: HashMap<String, Follow>,
    /// A log could be read lately: before that an attempt to follow one is likely to be in vain, and one read tells.
    can_be_had: bool,
}

#[derive(Debug)]
enum Follow {
    /// The task, which ends when this is dropped.
    Running(AbortOnDropHandle<()>),
    Paused(Timestamp),
}

/// Why a log is followed no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was followed for long enough to follow it again at once.
    Over,
    /// It cannot be had, and those of the other pods hardly.
    Refused,
    /// It ended, or brings too much.
    Failed,
}

impl Followed {
    /// Ends what is not `wanted` any more: a pod that is gone, ends, or is not ready.
    pub(super) fn retain(&mut self, wanted: impl Fn(&str) -> bool, now: Timestamp) {
        self.by_pod.retain(|pod, follow| {
            // Whoever ends says so first, but for one that panics.
            if matches!(follow, Follow::Running(task) if task.is_finished()) {
                *follow = Follow::Paused(now);
            }
            let is_over = matches!(follow, Follow::Paused(since) if clock::since(*since, now) >= PAUSE);
            wanted(pod) && !is_over
        });
    }

    /// Whether a log is followed.
    pub(super) fn has(&self, pod: &str) -> bool {
        matches!(self.by_pod.get(pod), Some(Follow::Running(_)))
    }

    /// Takes in whether a log could be read.
    pub(super) fn read(&mut self, was_read: bool) {
        self.can_be_had = was_read;
    }

    /// Whether to begin with it.
    pub(super) fn wants(&self, pod: &str) -> bool {
        self.can_be_had && !self.by_pod.contains_key(pod)
    }

    /// Begins with it.
    pub(super) fn begin(&mut self, pod: String, task: tokio::task::JoinHandle<()>) {
        self.by_pod.insert(pod, Follow::Running(AbortOnDropHandle::new(task)));
    }

    /// It has ended by itself.
    pub(super) fn end(&mut self, pod: &str, end: End, now: Timestamp) {
        match end {
            End::Over => self.by_pod.remove(pod),
            End::Refused | End::Failed => self.by_pod.insert(pod.to_owned(), Follow::Paused(now)),
        };
        self.can_be_had &= end != End::Refused;
    }
}

/// A log that goes on, whose lines begin with the kubelet's times.
pub(super) struct Tail<L> {
    log: L,
    /// Lines before it were read by somebody else.
    since: Timestamp,
    /// When it is old enough to be opened anew.
    until: Instant,
    window: Window,
    line: Vec<u8>,
    /// Bytes since the last look.
    brought: usize,
    /// Bytes since other tasks had a turn.
    taken: usize,
}

impl<L: AsyncBufRead + Unpin> Tail<L> {
    /// Nothing of it has been read.
    pub(super) fn new(log: L, since: Timestamp) -> Self {
        let now = Instant::now();
        let (until, window) = (now + LIFETIME, Window::new(now));
        Self { log, since, until, window, line: Vec::new(), brought: 0, taken: 0 }
    }

    /// What came lately, as soon as it is worth a look: see [`Window::look`].
    pub(super) async fn next(&mut self) -> Result<Option<(Timestamp, Vec<u8>)>, End> {
        loop {
            tokio::select! {
                read = next_line(&mut self.log, &mut self.line) => {
                    let bytes = read.ok().flatten().ok_or(End::Failed)?;
                    self.brought = self.brought.saturating_add(bytes);
                    if self.brought > MOST {
                        return Err(End::Failed);
                    }
                    self.take();
                    self.taken = self.taken.saturating_add(bytes);
                    if self.taken >= SLICE {
                        self.taken = 0;
                        tokio::task::yield_now().await;
                    }
                }
                () = sleep_until(self.window.due()) => {
                    self.brought = 0;
                    return Ok(self.window.look(Instant::now(), clock::now()));
                }
                () = sleep_until(self.until) => return Err(End::Over),
            }
        }
    }

    fn take(&mut self) {
        let (logged, text) = stamped(&self.line);
        if logged.is_none_or(|logged| logged >= self.since) {
            self.window.take(logged.unwrap_or_else(clock::now), text.to_vec(), Instant::now());
        }
        self.line.clear();
    }
}

/// Reads on to the end of a line, and returns how many bytes that were; `None` at the end of the log. What was read
/// before it is interrupted stays in `line`.
async fn next_line(log: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut bytes = 0_usize;
    loop {
        let available = log.fill_buf().await?;
        if available.is_empty() {
            return Ok(None);
        }
        let end = memchr::memchr(b'\n', available);
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        let room = LONGEST.saturating_sub(line.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let used = part.len().saturating_add(usize::from(end.is_some()));
        log.consume_unpin(used);
        bytes = bytes.saturating_add(used);
        // Of a line without an end the beginning is enough.
        if end.is_some() || bytes > MOST {
            return Ok(Some(bytes));
        }
    }
}

/// A line's time by the kubelet, and what the container wrote.
fn stamped(line: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let parsed = memchr::memchr(b' ', line).and_then(|space| {
        let (stamp, rest) = line.split_at_checked(space)?;
        let stamp: Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
        Some((stamp, rest.get(1..)?))
    });
    parsed.map_or((None, line), |(stamp, rest)| (Some(stamp), rest))
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, TryStreamExt as _, stream};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(second)
    }

    fn line(second: i64, text: &str) -> Vec<u8> {
        format!("{} {text}\n", at(second)).into_bytes()
    }

    /// What is looked at of a log whose parts come so many seconds after each other, and how following ends.
    async fn looks(parts: Vec<(u64, io::Result<Vec<u8>>)>, since: Timestamp) -> (Vec<Option<String>>, End) {
        let parts = stream::iter(parts).then(|(after, part)| async move {
            tokio::time::sleep(Duration::from_secs(after)).await;
            part
        });
        let log = Box::pin(parts).into_async_read();
        let mut tail = Tail::new(log, since);
        let mut seen = Vec::new();
        let end = loop {
            match tail.next().await {
                Ok(lines) => seen.push(lines.map(|(_, text)| String::from_utf8(text).unwrap())),
                Err(end) => break end,
            }
        };
        (seen, end)
    }

    #[tokio::test(start_paused = true)]
    async fn what_tells_of_trouble_is_looked_at_within_seconds() {
        let start = Instant::now();
        let (seen, end) = looks(
            vec![
                (0, Ok(line(-90, "[ERROR] seen before"))),
                (12, Ok(line(-1, "[CRITICAL] WORKER TIMEOUT (pid:7)"))),
                (1, Ok(line(-1, "[ERROR] Worker (pid:7) was sent SIGKILL!"))),
                (4, Err(io::Error::other("gone"))),
            ],
            at(-60),
        )
        .await;
        let expected = "[CRITICAL] WORKER TIMEOUT (pid:7)\n[ERROR] Worker (pid:7) was sent SIGKILL!\n";
        assert_eq!(seen, [Some(expected.to_owned())]);
        assert_eq!((end, start.elapsed().as_secs()), (End::Failed, 17));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_log_is_followed_until_its_connection_is_old() {
        let (seen, end) = looks(vec![(10_000, Ok(line(0, "late")))], at(-60)).await;
        assert_eq!(end, End::Over);
        assert!(seen.len() == 16 && seen.iter().all(Option::is_none), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_not_followed() {
        let long = || (0, Ok(vec![b'x'; 1 << 20]));
        let (seen, end) = looks(vec![long(), long(), long(), long(), long()], at(-60)).await;
        assert_eq!((seen, end), (vec![], End::Failed), "a line without an end");
        let lines = || (0, Ok("2026-11-29T10:00:00Z x\n".repeat(50_000).into_bytes()));
        let (seen, end) = looks(vec![lines(), lines(), lines(), lines()], at(-60)).await;
        assert_eq!((seen, end), (vec![], End::Failed), "many short ones");
    }

    #[tokio::test]
    async fn others_get_a_turn_while_a_flood_is_taken() {
        let turns = std::rc::Rc::new(std::cell::Cell::new(0_usize));
        let counted = std::rc::Rc::clone(&turns);
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move {
            loop {
                counted.set(counted.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let flood = "2026-11-29T10:00:00Z x\n".repeat(100_000);
        let mut tail = Tail::new(flood.as_bytes(), at(-60));
        assert_eq!(local.run_until(tail.next()).await, Err(End::Failed), "it ends");
        let slices = flood.len() / SLICE;
        assert!(turns.get() >= slices, "{} turns in {slices} slices", turns.get());
    }

    #[test]
    fn the_kubelets_time_is_taken_off() {
        let written = "2026-11-29T23:07:34.123456789Z {\"levelname\": \"INFO\"}";
        let (logged, text) = stamped(written.as_bytes());
        assert_eq!(text, b"{\"levelname\": \"INFO\"}");
        assert_eq!(
            logged.unwrap().as_second(),
            "2026-11-29T23:07:34Z".parse::<Timestamp>().unwrap().as_second()
        );
        assert_eq!(
            stamped(b"unable to retrieve container logs"),
            (None, &b"unable to retrieve container logs"[..])
        );
        assert_eq!(stamped(b""), (None, &b""[..]));
    }

    #[tokio::test]
    async fn one_that_panics_is_left_alone_for_a_while() {
        let mut followed = Followed { can_be_had: true, ..Followed::default() };
        followed.begin("a".to_owned(), tokio::spawn(async { panic!("on purpose") }));
        tokio::task::yield_now().await;
        followed.retain(|_| true, at(0));
        assert!(!followed.has("a") && !followed.wants("a"));
        followed.retain(|_| true, at(301));
        assert!(followed.wants("a"));
    }

    #[tokio::test]
    async fn what_could_not_be_followed_is_left_alone_for_a_while() {
        let mut followed = Followed { can_be_had: true, ..Followed::default() };
        followed.begin("a".to_owned(), tokio::spawn(std::future::pending()));
        followed.begin("b".to_owned(), tokio::spawn(std::future::pending()));
        assert!(followed.has("a") && !followed.wants("a") && followed.wants("c"));
        followed.end("a", End::Failed, at(0));
        followed.end("b", End::Over, at(0));
        assert!(!followed.has("a") && !followed.wants("a"));
        assert!(!followed.has("b") && followed.wants("b"));
        followed.retain(|_| true, at(299));
        assert!(!followed.wants("a"));
        followed.retain(|_| true, at(301));
        assert!(followed.wants("a"));
        let task = tokio::spawn(std::future::pending());
        let ended = task.abort_handle();
        followed.begin("c".to_owned(), task);
        followed.retain(|pod| pod != "c", at(0));
        tokio::task::yield_now().await;
        assert!(ended.is_finished(), "of a pod that is not wanted any more");
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_none_alone_for_longer() {
        let mut followed = Followed { can_be_had: true, ..Followed::default() };
        followed.end("a", End::Failed, at(86_400));
        followed.retain(|_| true, at(0));
        assert!(followed.wants("a"));
    }

    /// A node without a kubelet costs one request a minute, not one for each of its pods.
    #[tokio::test]
    async fn nothing_is_followed_where_no_log_can_be_had() {
        let mut followed = Followed::default();
        assert!(!followed.wants("a"), "none has been read yet");
        followed.read(true);
        assert!(followed.wants("a"));
        followed.begin("a".to_owned(), tokio::spawn(std::future::pending()));
        followed.end("a", End::Refused, at(0));
        assert!(!followed.wants("b"));
        followed.read(false);
        assert!(!followed.wants("b"));
        followed.read(true);
        assert!(followed.wants("b") && !followed.wants("a"));
    }
}
