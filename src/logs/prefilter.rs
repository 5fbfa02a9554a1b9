//! Which lines are worth reading: a search for words that every line of interest has, before anything is parsed.

use std::{cell::Cell, sync::LazyLock};

use aho_corasick::{Anchored, Input, MatchKind, StartKind, automaton::Automaton as _, dfa::DFA};

use super::lines::Ahead;

/// Words of which every line that begins an event has one, in lower case. A word too much costs time only; a
/// word too few loses findings, so there is a test that the samples of every cause are found.
const NEEDLES: &[&str] = &[
    // Failures, in every format: `[error    ]`, `"levelname": "ERROR"`, `psycopg2.OperationalError`.
    "error",
    "exception",
    "traceback",
    "fatal",
    "critical",
    "psycopg",
    "django.db",
    "django.core",
    "killed",
    "terminated",
    "out of memory",
    "oomkilled",
    "no space left",
    "permission denied",
    "executable file not found",
    "exited with code ",
    "executing a binary",
    "cannot execute",
    "can't fork",
    "cannot fork",
    "too many open files",
    "illegal instruction",
    "does not match the detected host platform",
    "does not support x86-64",
    "cannot open shared object",
    // A PostgreSQL server's own.
    "panic:",
    "detail:",
    "hint:",
    // A connection pooler's.
    "process up: ",
    "closing because: ",
    "lookup failed",
    "no such user",
    "ready to accept connections",
    "database system is shut down",
    "initdb:",
    "pg_ctl:",
    "not permitted",
    ": not found",
    "command not found",
    // Gunicorn's life.
    "listening at",
    "using worker",
    "booting worker",
    "worker exiting",
    ", in handle_abort",
    "handling signal",
    "shutting down",
    "address already in use",
    // The task processor's.
    "processor starting",
    "unmanaged thread",
    "unhealthy threads",
    "without task processor",
    "auto-disabled",
    // waitfordb and migrate.
    "connected to the database",
    "connect to db",
    "pending migrations",
    "applied migrations",
    "not yet applied",
    "operations to perform",
    "running migrations",
    "no migrations to apply",
    "planned operations",
    "applying ",
    " [ ] ",
    "there are migrations",
    // Requests that were refused.
    "http_host",
    "session data",
    "bad request: /health",
    "forbidden (",
    "\" 301 ",
    "\" 400 ",
    "\" 404 ",
    "\" 500 ",
    "\" 503 ",
    // A container runtime has cut the line: `STAMP stdout P `.
    " stdout p ",
    " stderr p ",
    // Commands.
    "unknown command",
    // What kubectl and Helm say where a log should stand.
    "no resources found",
    "unable to retrieve",
    "last deployed:",
    "  restarts  ",
    "last seen  ",
    // The frontend.
    "[hpm]",
    "trying to proxy",
    "node.js v",
    "unrecognized",
    "unrecognised",
];

/// Built once for the process: that takes milliseconds, and the operator reads a short log every few seconds.
static AUTOMATON: LazyLock<Option<DFA>> = LazyLock::new(|| {
    DFA::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .start_kind(StartKind::Unanchored)
        // Words begin with too many different letters for it.
        .prefilter(false)
        .build(NEEDLES)
        .ok()
});

/// Parts of a log that are searched at once: each step of a search waits for the step before, and a processor has room
/// for several such chains.
const LANES: usize = 4;

/// Bytes from which on it pays to search them in parts, where nothing is expected.
const WORTH_SPLITTING: usize = 8 * 1024;

/// Finds lines of interest.
#[derive(Debug)]
pub(crate) struct Prefilter {
    automaton: Option<&'static DFA>,
    /// Nothing was found for long.
    is_quiet: Cell<bool>,
}

impl Prefilter {
    /// Those of the process.
    pub(crate) fn new() -> Self {
        Self { automaton: AUTOMATON.as_ref(), is_quiet: Cell::new(true) }
    }

    /// Whether a line may begin an event; without an automaton every line may.
    pub(crate) fn is_match(&self, line: &[u8]) -> bool {
        let found = self.automaton.map(|automaton| automaton.try_find(&Input::new(line)));
        !matches!(found, Some(Ok(None)))
    }

    /// What is known of these bytes, which begin with a line.
    pub(crate) fn look_ahead(&self, bytes: &[u8]) -> Option<Ahead> {
        let automaton = self.automaton?;
        if self.is_quiet.get() && bytes.len() >= WORTH_SPLITTING && is_clear(automaton, bytes) {
            return Some(Ahead { clear: bytes.len(), tells: false });
        }
        let found = automaton.try_find(&Input::new(bytes)).ok()?;
        self.is_quiet.set(found.is_none_or(|found| found.start() >= WORTH_SPLITTING));
        Some(Ahead { clear: found.map_or(bytes.len(), |found| found.start()), tells: found.is_some() })
    }
}

/// Whether all of the bytes are known to have nothing of interest.
fn is_clear(automaton: &DFA, bytes: &[u8]) -> bool {
    let lanes = lanes(bytes).zip(automaton.start_state(Anchored::No).ok());
    let Some(([one, two, three, four], start)) = lanes else {
        return false;
    };
    let step = |state, byte: &u8| automaton.next_state(Anchored::No, state, *byte);
    let (mut a, mut b, mut c, mut d) = (start, start, start, start);
    for (((first, second), third), fourth) in one.iter().zip(two).zip(three).zip(four) {
        (a, b, c, d) = (step(a, first), step(b, second), step(c, third), step(d, fourth));
        let is_special = |state| automaton.is_special(state);
        if is_special(a) | is_special(b) | is_special(c) | is_special(d) {
            return false;
        }
    }
    let together = one.len().min(two.len()).min(three.len()).min(four.len());
    [(a, one), (b, two), (c, three), (d, four)].into_iter().all(|(mut state, lane)| {
        lane.iter().skip(together).all(|byte| {
            state = step(state, byte);
            !automaton.is_special(state)
        })
    })
}

/// The bytes in parts of about the same length, each of which begins with a line: no needle goes over the end of one.
/// `None` where lines are too long for that.
fn lanes(bytes: &[u8]) -> Option<[&[u8]; LANES]> {
    let mut rest = bytes;
    let mut lanes = [&[][..]; LANES];
    for (left, lane) in (1..=LANES).rev().zip(&mut lanes) {
        let about = rest.len() / left;
        let end = match left {
            1 => rest.len(),
            _ => about + memchr::memchr(b'\n', rest.get(about..)?)? + 1,
        };
        (*lane, rest) = rest.split_at_checked(end)?;
    }
    Some(lanes)
}

impl Default for Prefilter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// However the bytes are searched, it is the first needle that is found.
        #[test]
        fn parts_say_the_same_as_the_whole(
            lengths in prop::collection::vec(0_usize..90, 200..400),
            needle in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        ) {
            let mut lines: Vec<String> = lengths.into_iter().map(|length| "x ".repeat(length)).collect();
            if let Some((at, needle)) = needle {
                let at = at.index(lines.len());
                lines[at].push_str(NEEDLES[needle.index(NEEDLES.len())]);
            }
            let text = lines.join("\n");
            let first = NEEDLES.iter().filter_map(|needle| text.find(needle)).min();
            let ahead = Prefilter::new().look_ahead(text.as_bytes()).unwrap();
            prop_assert_eq!(ahead.tells, first.is_some());
            // Of needles that overlap it is the one that ends first.
            prop_assert!(ahead.clear >= first.unwrap_or(text.len()));
            prop_assert!(ahead.tells || ahead.clear == text.len());
        }
    }

    #[test]
    fn lanes_are_the_whole_and_begin_with_lines() {
        let text = "some line\n".repeat(100);
        let parts = lanes(text.as_bytes()).unwrap();
        assert_eq!(parts.concat(), text.as_bytes());
        assert!(parts.iter().all(|lane| lane.starts_with(b"some") && lane.len() > 200), "{parts:?}");
        assert_eq!(lanes(&[b'x'; 100]), None);
    }

    #[test]
    fn automaton_builds() {
        assert!(Prefilter::new().automaton.is_some());
    }

    #[test]
    fn healthy_traffic_is_skipped() {
        let needles = Prefilter::new();
        for line in [
            "10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] \"GET /api/v1/flags/ HTTP/1.1\" 200 5",
            "{\"timestamp\": \"2026-11-22T16:02:25.7Z\", \"levelname\": \"INFO\", \"logger_name\": \"gunicorn.access\", \"status\": \"200\"}",
            "2026-11-22T15:40:56.9Z [warning  ] Not Found: /favicon.ico [django.request] status_code=404",
        ] {
            assert!(!needles.is_match(line.as_bytes()), "{line}");
        }
    }
}
