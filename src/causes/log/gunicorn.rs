//! Gunicorn's workers: killed for silence, for memory, or by somebody.

use super::evidence::{LogEvidence, LogLocation};
use super::finding::{Explanation, Finding};
use super::forks::Forks;
use crate::flagsmith::WorkerClass;
use crate::logs::event::{Event, Level};
use crate::logs::time::Moment;
use crate::model::{Code, Component};

/// The most ends of workers that are kept; more of them are counted.
const ENDS: usize = 256;
/// Seconds after WORKER TIMEOUT within which a kill of the same process belongs to it. Gunicorn sends SIGABRT at
/// once and SIGKILL at its next look, about a second later.
const ESCALATION_SECONDS: i64 = 60;

#[derive(Debug)]
struct Timeout {
    source: u16,
    pid: u32,
    location: LogLocation,
    killed: Option<LogLocation>,
    request: Option<String>,
}

#[derive(Debug)]
struct Kill {
    signal: String,
    pid: u32,
    location: LogLocation,
    stopping: bool,
}

/// What happened to Gunicorn's workers.
#[derive(Debug, Default)]
pub struct Workers {
    /// How they handle requests.
    pub regime: Option<WorkerClass>,
    /// Where they were forked and ended.
    pub forks: Forks,
    timeouts: Vec<Timeout>,
    timeout_count: u64,
    kills: Vec<Kill>,
    /// A worker could not start; the exception before it says why.
    failed_to_boot: Option<LogLocation>,
    /// It was told to reload or to shrink, which ends workers.
    reload: bool,
}

impl Workers {
    /// Notes what an event says of a worker; `stopping` is where its process was told to stop.
    pub fn observe(&mut self, event: &Event, input: u16, stopping: Option<(u64, Option<Moment>)>) {
        if event.frames.sync_worker {
            self.regime = Some(WorkerClass::Sync);
        } else if event.frames.threaded_worker {
            self.regime = Some(WorkerClass::Threaded);
        }
        self.forks.observe(event, stopping.is_some());
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
            if self.timeouts.len() < ENDS {
                self.timeouts.push(Timeout {
                    source: event.source,
                    pid,
                    location: location(),
                    killed: None,
                    request: None,
                });
            }
        } else if let Some(path) = message.strip_prefix("Error handling request ") {
            self.aborted(event, path);
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

    /// The request that a timed-out worker was busy with: it says so when SIGABRT reaches it.
    fn aborted(&mut self, event: &Event, path: &str) {
        let exits = event
            .chain
            .iter()
            .any(|exception| exception.class == "SystemExit");
        let last = self
            .timeouts
            .iter_mut()
            .rev()
            .find(|timeout| timeout.source == event.source);
        if let Some(timeout) = last.filter(|_| exits) {
            timeout
                .request
                .get_or_insert_with(|| path.split('?').next().unwrap_or(path).trim().to_owned());
        }
    }

    fn killed(&mut self, event: &Event, pid: u32, signal: &str, location: LogLocation, stopping: bool) {
        let escalated = self.timeouts.iter_mut().rev().find(|timeout| {
            timeout.source == event.source
                && timeout.pid == pid
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
        if self.kills.len() < ENDS {
            self.kills.push(Kill {
                signal: signal.to_owned(),
                pid,
                location,
                stopping,
            });
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let end = text
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(text.len());
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

/// The causes that the ends of workers show.
pub fn conclude(case: &LogEvidence) -> Vec<Finding> {
    let workers = &case.workers;
    let memory: Vec<&Kill> = workers
        .kills
        .iter()
        .filter(|kill| kill.signal == "SIGKILL" && !kill.stopping)
        .collect();
    let late: Vec<&Kill> = workers
        .kills
        .iter()
        .filter(|kill| kill.signal == "SIGKILL" && kill.stopping)
        .collect();
    let other: Vec<&Kill> = workers
        .kills
        .iter()
        .filter(|kill| kill.signal != "SIGKILL")
        .collect();
    [
        timeouts(case, workers),
        out_of_memory(case, &memory),
        stopped_late(&late),
        by_signal(&other),
        no_boot(case, workers),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pids(pids: impl Iterator<Item = u32>) -> String {
    let all: Vec<String> = pids.map(|pid| pid.to_string()).collect();
    match all.as_slice() {
        [one] => format!("pid {one}"),
        many if many.len() <= 4 => format!("pids {}", many.join(", ")),
        many => format!(
            "{} pids, the last one {}",
            many.len(),
            many.last().map_or("", String::as_str)
        ),
    }
}

fn role(case: &LogEvidence) -> &'static str {
    if case.component == Component::TaskProcessor {
        "the task processor's HTTP server (its probes)"
    } else {
        "the API"
    }
}

fn timeouts(case: &LogEvidence, workers: &Workers) -> Option<Finding> {
    workers.timeouts.first()?;
    let count = super::phrasing::times(workers.timeout_count);
    let pids = pids(workers.timeouts.iter().map(|timeout| timeout.pid));
    let request = workers
        .timeouts
        .iter()
        .find_map(|timeout| timeout.request.as_deref());
    let request = request
        .map(|path| format!(" One of the requests was {path}."))
        .unwrap_or_default();
    let escalated = workers
        .timeouts
        .iter()
        .filter(|timeout| timeout.killed.is_some())
        .count();
    let memory = if escalated > 0 {
        " The SIGKILL after it is Gunicorn's own; \"Perhaps out of memory?\" is not meant here."
    } else {
        ""
    };
    let evidence = workers
        .timeouts
        .iter()
        .take(2)
        .flat_map(|timeout| std::iter::once(timeout.location.clone()).chain(timeout.killed.clone()))
        .collect();
    let role = role(case);
    let explained = match workers.regime {
        Some(WorkerClass::Threaded) => Explanation::new(
            Code::GunicornWorkerStalled,
            format!(
                "Gunicorn killed a worker of {role} {count} ({pids}) because the whole process stood still for longer than the timeout. The workers are threaded (gthread), where a slow request alone does not do that: the CPU limit throttled it, it swapped, or native code held the interpreter. All requests of that worker were cut, a proxy answers 502.{request}{memory}"
            ),
            "Look at CPU throttling before the timeout: rate(container_cpu_cfs_throttled_periods_total[5m]); raise or remove the CPU limit, and keep the worker's heartbeat file in memory: --worker-tmp-dir /dev/shm before the sub-command (\"start --worker-tmp-dir /dev/shm api\").",
        ),
        Some(WorkerClass::Sync) => Explanation::new(
            Code::GunicornWorkerTimeout,
            format!(
                "Gunicorn killed a worker of {role} {count} ({pids}) because a request took longer than its timeout (GUNICORN_TIMEOUT, 30 s unless set). The client got an empty reply, which a proxy turns into 502.{request}{memory}"
            ),
            "Find what is slow (ACCESS_LOG_LOCATION=- logs every request; often the database: pg_stat_activity). Set GUNICORN_THREADS=2 or more, so that one slow request does not cost the worker, or raise GUNICORN_TIMEOUT together with the proxy's read timeout.",
        ),
        None => Explanation::new(
            Code::GunicornWorkerTimeout,
            format!(
                "Gunicorn killed a worker of {role} {count} ({pids}) because it was silent for longer than the timeout (GUNICORN_TIMEOUT, 30 s unless set). Its requests were cut, a proxy answers 502. The beginning of the log is missing: a \"sync\" worker (GUNICORN_THREADS=1) means a slow request, a \"gthread\" one that the whole process stood still.{request}{memory}"
            ),
            "See which it is: the line \"Using worker:\" at the start of the pod's log. sync: find the slow request (ACCESS_LOG_LOCATION=-), set GUNICORN_THREADS=2 or raise GUNICORN_TIMEOUT with the proxy's read timeout. gthread: look at CPU throttling first.",
        ),
    };
    Some(Finding::new(explained, evidence))
}

fn out_of_memory(case: &LogEvidence, kills: &[&Kill]) -> Option<Finding> {
    kills.first()?;
    let explained = Explanation::new(
        Code::GunicornWorkerOutOfMemory,
        format!(
            "A worker of {} was killed with SIGKILL {} ({}), and Gunicorn had not timed it out before: the kernel's memory killer, unless somebody typed kill -9. Its requests were cut, a proxy answers 502.",
            role(case),
            super::phrasing::times(kills.len() as u64),
            pids(kills.iter().map(|kill| kill.pid))
        ),
        "Raise the container's memory limit, or lower GUNICORN_WORKERS: each worker needs 190 to 220 MiB idle. Confirm on the node: dmesg | grep -i 'killed process', or container_oom_events_total.",
    );
    Some(Finding::new(
        explained,
        kills.iter().take(3).map(|kill| kill.location.clone()).collect(),
    ))
}

fn stopped_late(kills: &[&Kill]) -> Option<Finding> {
    kills.first()?;
    let explained = Explanation::new(
        Code::GunicornWorkerKilled,
        format!(
            "While it was stopping, Gunicorn had to kill {} ({}): requests were still running when the graceful timeout ended, and were cut. This is no lack of memory.",
            if kills.len() == 1 { "a worker" } else { "workers" },
            pids(kills.iter().map(|kill| kill.pid))
        ),
        "Give running requests more time at a rollout: --graceful-timeout above the longest request (before the sub-command: \"start --graceful-timeout 60 api\") and terminationGracePeriodSeconds above that.",
    );
    Some(Finding::new(
        explained,
        kills.iter().take(3).map(|kill| kill.location.clone()).collect(),
    ))
}

/// Workers end at their start: the exception before it says why, unless the log begins behind it.
fn no_boot(case: &LogEvidence, workers: &Workers) -> Option<Finding> {
    let location = workers.failed_to_boot.as_ref()?;
    if case
        .sources
        .iter()
        .any(|source| source.life.served > location.line)
    {
        return None;
    }
    let explained = Explanation::new(
        Code::CrashLooping,
        "Gunicorn's workers end at their start; the log does not have the error that says why.",
        "Read the whole log of the container's last run: kubectl logs POD --previous",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}

fn by_signal(kills: &[&Kill]) -> Option<Finding> {
    let first = kills.first()?;
    let (why, remedy) = match first.signal.as_str() {
        "SIGSEGV" | "SIGILL" | "SIGFPE" => (
            "a crash in native code (a broken image for this CPU, or memory corruption)",
            "Use the released image for the node's architecture; when it happens again, take a core dump and report it.",
        ),
        // Flagsmith maps its metrics files into memory: a page that the file system has no room for is this signal.
        "SIGBUS" => (
            "a file that it has mapped into memory could not grow. Those are its metrics files, and the volume at /tmp/prometheus (PROMETHEUS_MULTIPROC_DIR) is full",
            "Look: kubectl exec POD -- df -h /tmp/prometheus. Give that emptyDir a larger sizeLimit, or room on the node's disk; files of workers that have ended stay in it, so a new pod begins empty.",
        ),
        _ => (
            "somebody or something outside of Gunicorn ended it",
            "Find out what sends signals to the pod's processes: a debug shell, a security agent, an exec probe.",
        ),
    };
    let explained = Explanation::new(
        Code::GunicornWorkerKilled,
        format!(
            "A Gunicorn worker was ended by {} {} ({}), not in a rollout: {why}. Its requests were cut, a proxy answers 502.",
            first.signal,
            super::phrasing::times(kills.len() as u64),
            pids(kills.iter().map(|kill| kill.pid))
        ),
        remedy,
    );
    Some(Finding::new(
        explained,
        kills.iter().take(3).map(|kill| kill.location.clone()).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::killed;
    use crate::flagsmith::WorkerClass;
    use crate::{
        causes::diagnose_log,
        model::{Code, Component},
    };
    use rstest::rstest;

    #[rstest]
    #[case("Worker (pid:4552) was sent SIGKILL! Perhaps out of memory?", Some((4552, "SIGKILL")))]
    #[case("Worker (pid:7) was sent SIGTERM!", Some((7, "SIGTERM")))]
    #[case("Worker with pid 9 was terminated due to signal 9", Some((9, "SIGKILL")))]
    #[case("Worker with pid 9 was terminated due to signal 11", Some((9, "SIGSEGV")))]
    #[case("Worker (pid:9) exited with code 1", None)]
    fn reads_both_wordings(#[case] message: &str, #[case] expected: Option<(u32, &str)>) {
        assert_eq!(killed(message), expected);
    }

    /// The same lines mean a slow request in the one class and a process that stood still in the other.
    #[rstest]
    #[case(Some(WorkerClass::Sync), Code::GunicornWorkerTimeout)]
    #[case(Some(WorkerClass::Threaded), Code::GunicornWorkerStalled)]
    #[case(None, Code::GunicornWorkerTimeout)]
    fn a_log_without_its_beginning_is_read_by_what_runs(
        #[case] regime: Option<WorkerClass>,
        #[case] expected: Code,
    ) {
        let log = b"[2026-11-24 10:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n[2026-11-24 10:00:01 +0000] [1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?\n";
        let found = diagnose_log(Component::Api, regime, "log", log);
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, [expected]);
    }
}
