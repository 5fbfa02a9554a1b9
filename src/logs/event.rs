//! What one process said at one moment, read from one or many lines.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use http::StatusCode;

use super::time::Moment;

/// The longest message that is kept, in bytes; a psycopg2 message with its DETAIL and HINT is below 1 KiB.
pub(crate) const MESSAGE_LIMIT: usize = 4 * 1024;
/// The most exceptions of one chain that are kept.
pub(crate) const CHAIN_LIMIT: usize = 12;

/// The level of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// For developers.
    Debug,
    /// Normal work.
    Info,
    /// Unexpected, but it went on.
    Warning,
    /// Something failed.
    Error,
    /// The process, or a worker of it, cannot go on.
    Critical,
}

impl Level {
    /// Reads a level's name in the spelling of `logging`, structlog or Gunicorn.
    pub(crate) fn read(name: &str) -> Option<Self> {
        const NAMES: &[(&str, Level)] = &[
            ("info", Level::Info),
            ("warning", Level::Warning),
            ("error", Level::Error),
            ("critical", Level::Critical),
            ("debug", Level::Debug),
            ("warn", Level::Warning),
            ("fatal", Level::Critical),
            ("exception", Level::Error),
            ("notice", Level::Info),
            ("trace", Level::Debug),
            ("notset", Level::Debug),
        ];
        let name = name.trim();
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }
}

/// How an exception came after the one before it in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The first of its chain.
    First,
    /// "The above exception was the direct cause": the same failure in other words.
    Cause,
    /// "During handling of the above exception": raised while the other one was being handled.
    Context,
}

/// One exception of a traceback, in the order of the log: the origin first, the last re-raise last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// The line that names its class.
    pub line: u64,
    /// The dotted class name, for example `psycopg2.errors.LockNotAvailable`.
    pub class: String,
    /// The message, with its continuation lines (`DETAIL`, `HINT`), at most [`MESSAGE_LIMIT`] bytes.
    pub message: String,
    /// How it belongs to the exception before it.
    pub link: Link,
    /// Where it was raised, where its traceback is in the log.
    pub place: Option<Place>,
}

/// The frame of a traceback that says most: the innermost one of the application, or, where the traceback goes through
/// libraries only, the innermost one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The source file, for example `/app/features/views.py`.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The function.
    pub function: String,
}

/// Folders of the interpreter and of installed packages.
const LIBRARIES: &[&str] = &["/site-packages/", "/dist-packages/", "/lib/python", "<frozen "];
/// The longest file or function name that is kept, in bytes.
const NAME_LIMIT: usize = 200;

impl Place {
    /// Reads `  File "/app/features/views.py", line 58, in create`, where it says more than a frame further out.
    pub(crate) fn read(frame: &str, outer: Option<&Self>) -> Option<Self> {
        let (file, rest) = frame.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
        let (line, function) = rest.split_once(", in ")?;
        let line = line.parse().ok()?;
        let file = clip(file, NAME_LIMIT);
        let says_more = outer.is_none_or(|outer| is_application(file) || !is_application(&outer.file));
        says_more.then(|| Self {
            file: file.to_owned(),
            line,
            function: clip(function.trim_end(), NAME_LIMIT).to_owned(),
        })
    }
}

fn is_application(file: &str) -> bool {
    !LIBRARIES.iter().any(|folder| file.contains(folder))
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}, line {}, in {}", self.file, self.line, self.function)
    }
}

/// Where a traceback went through; what a message alone does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent observations of one traceback")]
pub(crate) struct Frames {
    /// `django/core/management/commands/migrate.py`, or the migration executor.
    pub migrate: bool,
    /// Gunicorn's `workers/sync.py`.
    pub sync_worker: bool,
    /// Gunicorn's `workers/gthread.py`.
    pub threaded_worker: bool,
    /// Django's operations that build an index without locking the table.
    pub concurrent_index: bool,
    /// Django's request handler, or a health check in a thread of its own, of which one looks at migrations: the
    /// exception failed one request, not the process.
    pub request: bool,
    /// The beginning of a thread: the exception ended that thread, not the process.
    pub thread: bool,
    /// What the task processor's coordinator does before it hands out tasks.
    pub coordinator: bool,
    /// What Gunicorn's worker does when SIGABRT reaches it: the arbiter sends that to a worker that is too silent.
    pub abort: bool,
    /// What it called.
    pub service: Option<Service>,
}

/// What a traceback ends in that is none of Flagsmith's, Django's or Gunicorn's: sockets fail with the same classes and
/// words whatever is at their other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    /// Redis or memcached.
    Cache,
    /// The e-mail server, or the HTTP interface of one.
    Email,
    /// `InfluxDB`.
    Analytics,
    /// A connection to PostgreSQL that is being made.
    Connect,
}

/// What a part of a frame's line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Source,
    Concurrently,
    Migrate,
    SyncWorker,
    ThreadedWorker,
    Operations,
    Request,
    Threading,
    Registry,
    WorkerBase,
    Driver,
    Client(Service),
}

/// Parts of the lines of frames. Of the clients of services the first counts that a line has.
const SIGNS: &[(&str, Sign)] = &[
    (".py", Sign::Source),
    ("CONCURRENTLY", Sign::Concurrently),
    ("management/commands/migrate.py", Sign::Migrate),
    ("db/migrations/", Sign::Migrate),
    ("gunicorn/workers/sync.py", Sign::SyncWorker),
    ("gunicorn/workers/gthread.py", Sign::ThreadedWorker),
    ("contrib/postgres/operations.py", Sign::Operations),
    ("core/handlers/", Sign::Request),
    ("health_check/", Sign::Request),
    // The interpreter's own; an exception that reaches this frame has no other one above.
    ("threading.py", Sign::Threading),
    ("task_processor/task_registry.py", Sign::Registry),
    ("gunicorn/workers/base.py", Sign::WorkerBase),
    ("psycopg2/__init__.py", Sign::Driver),
    ("psycopg/connection.py", Sign::Driver),
    ("smtplib.py", Sign::Client(Service::Email)),
    ("django/core/mail/", Sign::Client(Service::Email)),
    ("sendgrid/", Sign::Client(Service::Email)),
    ("sgbackend/", Sign::Client(Service::Email)),
    ("django_ses/", Sign::Client(Service::Email)),
    ("-packages/redis/", Sign::Client(Service::Cache)),
    ("django_redis/", Sign::Client(Service::Cache)),
    ("django/core/cache/backends/redis", Sign::Client(Service::Cache)),
    ("django/core/cache/backends/memcached", Sign::Client(Service::Cache)),
    ("pymemcache/", Sign::Client(Service::Cache)),
    ("influxdb_client/", Sign::Client(Service::Analytics)),
];

/// Finds them all in one go: a log of a pod in trouble consists of tracebacks.
static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let texts = SIGNS.iter().map(|(text, _)| text);
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(texts).ok()
});

const _: () = assert!(SIGNS.len() <= u32::BITS as usize, "each has a bit");

/// Which of the signs a line has, by index.
fn signs(line: &str) -> u32 {
    let Some(search) = SEARCH.as_ref() else {
        return (0..)
            .zip(SIGNS)
            .filter(|(_, (text, _))| line.contains(text))
            .fold(0, |all, (at, _)| all | 1 << at);
    };
    search.find_overlapping_iter(line).fold(0, |all, found| all | 1 << found.pattern().as_u32())
}

impl Frames {
    /// Notes what a frame line of a traceback shows.
    pub(crate) fn note(&mut self, line: &str) {
        let found = signs(line);
        let found = || (0..).zip(SIGNS).filter(|(at, _)| found & (1 << at) != 0).map(|(_, (_, sign))| *sign);
        let has = |sign: Sign| found().any(|it| it == sign);
        if !has(Sign::Source) {
            self.concurrent_index |= has(Sign::Concurrently);
            return;
        }
        for sign in found() {
            match sign {
                Sign::Migrate => self.migrate = true,
                Sign::SyncWorker => self.sync_worker = true,
                Sign::ThreadedWorker => self.threaded_worker = true,
                Sign::Operations => self.concurrent_index = true,
                Sign::Request => self.request = true,
                Sign::Threading => self.thread |= line.ends_with("in _bootstrap_inner"),
                Sign::Registry => self.coordinator |= line.ends_with("in initialise"),
                Sign::WorkerBase => self.abort |= line.ends_with("in handle_abort"),
                Sign::Driver if line.ends_with("in connect") => {
                    self.service = self.service.or(Some(Service::Connect));
                }
                Sign::Client(service) => self.service = self.service.or(Some(service)),
                Sign::Source | Sign::Concurrently | Sign::Driver => {}
            }
        }
    }
}

/// How the text reached the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A log record with a level.
    Record,
    /// A traceback or an exception that the interpreter, or a management command, printed.
    Traceback,
    /// Any other line.
    Plain,
}

/// What one process said at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The number of its first line, from 1.
    pub line: u64,
    /// The stream of the file that it belongs to (pod, Compose service), as an index.
    pub source: u16,
    /// When it was written, where the format says so.
    pub time: Option<Moment>,
    /// The process that wrote it, where the format says so.
    pub pid: Option<u32>,
    /// Its level; `None` for what is not a log record.
    pub level: Option<Level>,
    /// The name of its logger, for example `gunicorn.error`; empty when not known.
    pub logger: String,
    /// The message with its continuation lines, at most [`MESSAGE_LIMIT`] bytes.
    pub message: String,
    /// The exceptions of its traceback, the origin first.
    pub chain: Vec<Exception>,
    /// What its traceback went through.
    pub frames: Frames,
    /// How it reached the log.
    pub origin: Origin,
}

/// Whether a message is `Not Found: /path`, as Django says of a response (`django.utils.log.log_response`), whatever the
/// line calls its logger: in a log of plain text the path can have brackets of its own.
fn is_response(message: &str) -> bool {
    message.split_once(": /").is_some_and(|(reason, _)| REASONS.contains(&reason))
}

/// What the statuses of requests that failed are called.
static REASONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let statuses = (400..=599).filter_map(|status| StatusCode::from_u16(status).ok());
    statuses.filter_map(|status| status.canonical_reason()).collect()
});

/// Loggers whose messages repeat what a client sent: paths, hosts, headers, user agents (Django 5.2, Gunicorn 23). What
/// they say of themselves, in an exception, is the process's own.
const OF_CLIENTS: &[&str] = &["django.request", "django.security", "django.server", "gunicorn.access"];

impl Event {
    /// Whether anybody who can send a request chooses words of its message.
    pub(crate) fn is_worded_by_a_client(&self) -> bool {
        let of_logger = |logger: &str| {
            self.logger.strip_prefix(logger).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        OF_CLIENTS.iter().any(|logger| of_logger(logger)) || is_response(&self.message)
    }

    /// An event without content.
    pub(crate) const fn new(line: u64, source: u16, origin: Origin) -> Self {
        Self {
            line,
            source,
            time: None,
            pid: None,
            level: None,
            logger: String::new(),
            message: String::new(),
            chain: Vec::new(),
            frames: Frames {
                migrate: false,
                sync_worker: false,
                threaded_worker: false,
                concurrent_index: false,
                request: false,
                thread: false,
                coordinator: false,
                abort: false,
                service: None,
            },
            origin,
        }
    }

    /// Adds an exception to the chain; of an endless chain the beginning and the end are kept.
    pub(crate) fn push_exception(&mut self, exception: Exception) {
        if self.chain.len() >= CHAIN_LIMIT {
            self.chain.remove(CHAIN_LIMIT / 2);
        }
        self.chain.push(exception);
    }

    /// Whether it begins with an exception's class: the traceback before that is not in the log.
    pub(crate) fn is_headless(&self) -> bool {
        let first = self.chain.first();
        self.origin == Origin::Traceback && first.is_some_and(|first| first.line == self.line)
    }

    /// The exception that ended it: the last re-raise.
    pub(crate) fn last_exception(&self) -> Option<&Exception> {
        self.chain.last()
    }
}

/// Appends `more` to `text` as a new line, within [`MESSAGE_LIMIT`].
pub(crate) fn append_line(text: &mut String, more: &str) {
    let room = MESSAGE_LIMIT.saturating_sub(text.len() + 1);
    if room > 0 {
        text.push('\n');
        text.push_str(clip(more, room));
    }
}

/// The longest prefix of `text` of at most `limit` bytes.
pub(crate) fn clip(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_is_bounded_and_keeps_both_ends() {
        let mut event = Event::new(1, 0, Origin::Traceback);
        for line in 0..1000 {
            let class = format!("E{line}");
            event.push_exception(Exception {
                line,
                class,
                message: String::new(),
                link: Link::Cause,
                place: None,
            });
        }
        assert_eq!(event.chain.len(), CHAIN_LIMIT);
        assert_eq!((event.chain[0].line, event.last_exception().map(|last| last.line)), (0, Some(999)));
    }

    #[test]
    fn messages_are_bounded_at_character_boundaries() {
        let mut text = "x".repeat(MESSAGE_LIMIT - 3);
        append_line(&mut text, "éé");
        append_line(&mut text, "more");
        assert!(text.len() <= MESSAGE_LIMIT);
    }
}
