//! What a log says of Gunicorn's workers: where they were forked and ended, were too silent, or were ended by a signal.

use super::location::LogLocation;
use super::recurring::Rate;
use crate::flagsmith::WorkerClass;
use crate::logs::event::{Event, Level};
use crate::logs::time::Moment;

/// The most timeouts and kills of workers that are kept; more timeouts are counted.
const KEPT: usize = 256;
/// The most places where a worker was forked or ended by itself; later ones are not needed to tell what happened.
const PLACES: usize = 4096;
/// Seconds after WORKER TIMEOUT within which a kill of the same process belongs to it. Gunicorn sends SIGABRT at
/// once and SIGKILL at its next look, about a second later.
const ESCALATION_SECONDS: i64 = 60;

/// A `WORKER TIMEOUT`.
#[derive(Debug)]
pub(crate) struct Timeout {
    source: u16,
    /// The worker's process, where the log has its beginning.
    pub(crate) pid: Option<u32>,
    /// Where the log says so.
    pub(crate) location: LogLocation,
    /// Where Gunicorn says that it had to kill the worker with SIGKILL.
    pub(crate) killed: Option<LogLocation>,
    /// The path of the request that the worker was busy with.
    pub(crate) request: Option<String>,
    /// Whether it was not busy with one: it waited for a client to send it.
    pub(crate) waited: bool,
}

/// What Gunicorn says in place of a path while a client has sent no request yet.
const NO_REQUEST: &str = "(no URI read)";

/// A worker that a signal ended for which Gunicorn had no reason.
#[derive(Debug)]
pub(crate) struct Kill {
    /// For example `SIGKILL`.
    pub(crate) signal: String,
    /// The worker's process.
    pub(crate) pid: u32,
    /// Where the log says so.
    pub(crate) location: LogLocation,
    /// Whether Gunicorn was stopping.
    pub(crate) stopping: bool,
}

/// Where workers were forked and ended by themselves, not because their process was told to stop.
#[derive(Debug, Default)]
pub(crate) struct Forks {
    forked: Vec<(u16, u64)>,
    ended: Vec<(u16, u64)>,
}

impl Forks {
    /// Notes what an event says of a worker; nothing while its process is `stopping`.
    fn observe(&mut self, event: &Event, stopping: bool) {
        let places = if event.message.starts_with("Booting worker") {
            &mut self.forked
        } else if event.message.starts_with("Worker exiting") && !stopping {
            &mut self.ended
        } else {
            return;
        };
        if places.len() < PLACES {
            places.push((event.source, event.line));
        }
    }

    /// How many workers of a source ended before a line.
    pub(crate) fn ends_before(&self, source: u16, line: u64) -> usize {
        let before = |(of, at): &&(u16, u64)| *of == source && *at < line;
        self.ended.iter().filter(before).count()
    }

    /// How many workers there were when the first one ended.
    pub(crate) fn workers(&self, source: u16) -> usize {
        let first = self.ended.iter().find(|(of, _)| *of == source);
        let before = |(of, at): &&(u16, u64)| *of == source && first.is_none_or(|(_, end)| at < end);
        self.forked.iter().filter(before).count()
    }
}

/// What happened to Gunicorn's workers.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// How they handle requests.
    pub(crate) regime: Option<WorkerClass>,
    /// Where they were forked and ended.
    pub(crate) forks: Forks,
    /// The first `WORKER TIMEOUT`s.
    pub(crate) timeouts: Vec<Timeout>,
    /// How many there were.
    pub(crate) timeout_count: u64,
    /// Workers that were ended by a signal.
    pub(crate) kills: Vec<Kill>,
    /// A worker could not start; the exception before it says why.
    pub(crate) failed_to_boot: Option<LogLocation>,
    /// Workers that ended with an error, one of Gunicorn's own or of what they run.
    pub(crate) exits: Exits,
    /// It was told to reload or to shrink, which ends workers.
    reload: bool,
}

/// Workers that ended with an exit status other than 0, which Gunicorn says once or twice of each, in different words.
#[derive(Debug)]
pub(crate) struct Exits {
    /// The first and the last.
    pub(crate) places: Option<(LogLocation, LogLocation)>,
    /// How often.
    pub(crate) rate: Rate,
    last: Option<(u16, u32)>,
}

/// Workers that end from which on they are told: each takes the requests of all of its threads with it.
const EXITS: usize = 3;

impl Default for Exits {
    fn default() -> Self {
        Self { places: None, rate: Rate::new(EXITS), last: None }
    }
}

impl Exits {
    fn note(&mut self, event: &Event, pid: u32, location: LogLocation) {
        if self.last.replace((event.source, pid)) == Some((event.source, pid)) {
            return;
        }
        self.rate.note(event.time);
        let first = self.places.take().map_or_else(|| location.clone(), |(first, _)| first);
        self.places = Some((first, location));
    }
}

/// The process of `Worker (pid:7) exited with code 255`. That it could not start, 3 or 4, ends all of Gunicorn.
fn exited(message: &str) -> Option<u32> {
    let (pid, code) = message.strip_prefix("Worker (pid:")?.split_once(") exited with code ")?;
    let code = code.trim_end_matches('.');
    (!matches!(code, "0" | "3" | "4")).then(|| number(pid)).flatten()
}

impl Workers {
    /// Notes what an event says of a worker; `stopping` is where its process was told to stop.
    pub(crate) fn observe(&mut self, event: &Event, input: u16, stopping: Option<(u64, Option<Moment>)>) {
        if event.frames.sync_worker {
            self.regime = Some(WorkerClass::Sync);
        } else if event.frames.threaded_worker {
            self.regime = Some(WorkerClass::Threaded);
        }
        self.forks.observe(event, stopping.is_some());
        self.aborted(event, input);
        let message = event.message.as_str();
        let location = || LogLocation::of(event, input);
        if let Some(class) = message.strip_prefix("Using worker: ") {
            self.regime = match class.trim() {
                "sync" => Some(WorkerClass::Sync),
                "gthread" => Some(WorkerClass::Threaded),
                _ => self.regime,
            };
        } else if let Some(pid) = message.strip_prefix("WORKER TIMEOUT (pid:").and_then(number) {
            self.timeout_count += 1;
            if self.timeouts.len() < KEPT {
                self.timeouts.push(Timeout {
                    source: event.source,
                    pid: Some(pid),
                    location: location(),
                    killed: None,
                    request: None,
                    waited: false,
                });
            }
        } else if let Some(path) = message.strip_prefix("Error handling request ") {
            self.busy_with(event, path);
        } else if let Some(pid) = exited(message) {
            self.exits.note(event, pid, location());
        } else if let Some((pid, signal)) = killed(message) {
            self.killed(event, pid, signal, location(), stopping.is_some());
        } else if message.starts_with("Handling signal: hup") || message.starts_with("Handling signal: ttou")
        {
            self.reload = true;
        } else if event.level.is_none_or(|level| level >= Level::Error)
            && message.contains("Worker failed to boot")
        {
            self.failed_to_boot.get_or_insert_with(location);
        }
    }

    /// SIGABRT reached a worker. The arbiter has said `WORKER TIMEOUT` before that, unless the log begins after it.
    fn aborted(&mut self, event: &Event, input: u16) {
        let exits =
            event.frames.abort && event.last_exception().is_some_and(|last| last.class == "SystemExit");
        let known = self.timeouts.iter().rev().any(|timeout| {
            timeout.source == event.source
                && event
                    .time
                    .zip(timeout.location.time)
                    .is_none_or(|(now, then)| (-1..=ESCALATION_SECONDS).contains(&now.seconds_since(then)))
        });
        let Some(last) = event.last_exception().filter(|_| exits && !known && self.timeouts.len() < KEPT)
        else {
            return;
        };
        self.timeout_count += 1;
        self.timeouts.push(Timeout {
            source: event.source,
            pid: event.pid,
            location: LogLocation {
                line: last.line,
                class: last.class.clone(),
                message: format!("{} (raised by Gunicorn's handle_abort)", last.message),
                ..LogLocation::of(event, input)
            },
            killed: None,
            request: None,
            waited: false,
        });
    }

    /// The request that a timed-out worker was busy with: it says so when SIGABRT reaches it.
    fn busy_with(&mut self, event: &Event, path: &str) {
        let exits = event.chain.iter().any(|exception| exception.class == "SystemExit");
        let last = self.timeouts.iter_mut().rev().find(|timeout| timeout.source == event.source);
        if let Some(timeout) = last.filter(|_| exits) {
            if path.trim() == NO_REQUEST {
                timeout.waited = true;
                return;
            }
            timeout.request.get_or_insert_with(|| path.split('?').next().unwrap_or(path).trim().to_owned());
        }
    }

    fn killed(&mut self, event: &Event, pid: u32, signal: &str, location: LogLocation, stopping: bool) {
        let escalated = self.timeouts.iter_mut().rev().find(|timeout| {
            timeout.source == event.source
                && timeout.pid == Some(pid)
                && event
                    .time
                    .zip(timeout.location.time)
                    .is_none_or(|(now, then)| (-1..=ESCALATION_SECONDS).contains(&now.seconds_since(then)))
        });
        if let Some(timeout) = escalated {
            timeout.killed = Some(location);
            return;
        }
        // Gunicorn ends its workers with SIGTERM itself when it stops, reloads or shrinks.
        if signal == "SIGTERM" && (stopping || self.reload)
            || matches!(signal, "SIGINT" | "SIGQUIT" | "SIGABRT" | "SIGHUP")
        {
            return;
        }
        if self.kills.len() < KEPT {
            self.kills.push(Kill { signal: signal.to_owned(), pid, location, stopping });
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let end = text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// `Worker (pid:7) was sent SIGKILL! Perhaps out of memory?` (21 and later) and
/// `Worker with pid 7 was terminated due to signal 9` (20).
fn killed(message: &str) -> Option<(u32, &str)> {
    if let Some(rest) = message.strip_prefix("Worker (pid:") {
        let (_, signal) = rest.split_once(") was sent ")?;
        return Some((number(rest)?, signal.split(['!', ' ']).next()?));
    }
    let rest = message.strip_prefix("Worker with pid ")?;
    let (_, signal) = rest.split_once(" was terminated due to signal ")?;
    let signal = match signal.trim().trim_end_matches('.') {
        "9" => "SIGKILL",
        "15" => "SIGTERM",
        "6" => "SIGABRT",
        "11" => "SIGSEGV",
        "7" => "SIGBUS",
        "4" => "SIGILL",
        "2" => "SIGINT",
        "3" => "SIGQUIT",
        other => other,
    };
    Some((number(rest)?, signal))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::killed;

    #[rstest]
    #[case("Worker (pid:4552) was sent SIGKILL! Perhaps out of memory?", Some((4552, "SIGKILL")))]
    #[case("Worker (pid:7) was sent SIGTERM!", Some((7, "SIGTERM")))]
    #[case("Worker with pid 9 was terminated due to signal 9", Some((9, "SIGKILL")))]
    #[case("Worker with pid 9 was terminated due to signal 11", Some((9, "SIGSEGV")))]
    #[case("Worker (pid:9) exited with code 1", None)]
    fn reads_both_wordings(#[case] message: &str, #[case] expected: Option<(u32, &str)>) {
        assert_eq!(killed(message), expected);
    }
}
