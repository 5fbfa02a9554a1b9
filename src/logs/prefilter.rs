//! Which lines are worth reading: a search for words that every line of interest has, before anything is parsed.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

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
static AUTOMATON: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .build(NEEDLES)
        .ok()
});

/// Finds lines of interest.
#[derive(Debug)]
pub(crate) struct Prefilter {
    automaton: Option<&'static AhoCorasick>,
}

impl Prefilter {
    /// Those of the process.
    pub(crate) fn new() -> Self {
        Self { automaton: AUTOMATON.as_ref() }
    }

    /// Whether a line may begin an event; without an automaton every line may.
    pub(crate) fn is_match(&self, line: &[u8]) -> bool {
        self.automaton.is_none_or(|automaton| automaton.is_match(line))
    }

    /// What is known of these bytes.
    pub(crate) fn look_ahead(&self, bytes: &[u8]) -> Option<Ahead> {
        let found = self.automaton?.find(bytes);
        Some(Ahead { clear: found.map_or(bytes.len(), |found| found.start()), tells: found.is_some() })
    }
}

impl Default for Prefilter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Prefilter;

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
