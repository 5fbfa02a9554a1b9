//! A worker was ended by a signal.

use super::shared::workers::{pids, places};
use crate::causes::{
    log::{gunicorn::Kill, phrasing::times},
    prelude::*,
};

pub(crate) static CAUSE: Cause =
    Cause { in_logs: Some(in_logs), ..Cause::warning(Component::Api, include_str!("worker_killed.md")) };

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let (late, other): (Vec<&Kill>, Vec<&Kill>) = logs
        .workers
        .kills
        .iter()
        .filter(|kill| kill.signal != "SIGKILL" || kill.stopping)
        .partition(|kill| kill.signal == "SIGKILL");
    let explained = at_shutdown(&late).or_else(|| by_signal(&other))?;
    let places = [places(&late), places(&other)].concat();
    Some(Finding::new(explained, places))
}

/// Killed with SIGKILL while Gunicorn was stopping.
fn at_shutdown(kills: &[&Kill]) -> Option<Explanation> {
    kills.first()?;
    Some(Explanation::new(
        Code::GunicornWorkerKilled,
        format!(
            "While it was stopping, Gunicorn had to kill {} ({}): requests were still running when the graceful \
             timeout ended, and were cut. This is no lack of memory.",
            if kills.len() == 1 { "a worker" } else { "workers" },
            pids(kills.iter().map(|kill| kill.pid))
        ),
        "Give running requests more time at a rollout: --graceful-timeout above the longest request (before the \
         sub-command: \"start --graceful-timeout 60 api\") and terminationGracePeriodSeconds above that.",
    ))
}

/// Ended by another signal.
fn by_signal(kills: &[&Kill]) -> Option<Explanation> {
    let first = kills.first()?;
    let (why, remedy) = match first.signal.as_str() {
        "SIGSEGV" | "SIGILL" | "SIGFPE" => (
            "a crash in native code (a broken image for this CPU, or memory corruption)",
            "Use the released image for the node's architecture; when it happens again, take a core dump and report \
             it.",
        ),
        // Flagsmith maps its metrics files into memory: a page that the file system has no room for is this signal.
        "SIGBUS" => (
            "a file that it has mapped into memory could not grow. Those are its metrics files, and the volume at \
             /tmp/prometheus (PROMETHEUS_MULTIPROC_DIR) is full",
            "Look: kubectl exec POD -- df -h /tmp/prometheus. Give that emptyDir a larger sizeLimit, or room on the \
             node's disk; files of workers that have ended stay in it, so a new pod begins empty.",
        ),
        _ => (
            "something outside of Gunicorn ended it",
            "Find out what sends signals to the pod's processes: a debug shell, a security agent, an exec probe.",
        ),
    };
    Some(Explanation::new(
        Code::GunicornWorkerKilled,
        format!(
            "A Gunicorn worker was ended by {} {} ({}), not in a rollout: {why}. Its requests were cut, a proxy \
             answers 502.",
            first.signal,
            times(kills.len() as u64),
            pids(kills.iter().map(|kill| kill.pid))
        ),
        remedy,
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::diagnose_log,
        model::{Code, Component},
    };

    #[rstest]
    #[case::crash("SIGSEGV", "a crash in native code")]
    #[case::metrics("SIGBUS", "/tmp/prometheus")]
    #[case::from_outside("SIGTERM", "outside of Gunicorn")]
    fn a_signal_has_its_reason(#[case] signal: &str, #[case] reason: &str) {
        let log =
            format!("[2026-11-24 10:00:00 +0000] [1] [ERROR] Worker (pid:7) was sent {signal}!\n").repeat(2);
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let [(_, killed)] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(killed.code, Code::GunicornWorkerKilled);
        let expected = format!("ended by {signal} twice (pids 7, 7), not in a rollout: ");
        assert!(killed.message.contains(&expected) && killed.message.contains(reason), "{killed:#?}");
    }

    #[test]
    fn what_a_rollout_cuts_is_no_lack_of_memory() {
        let log = b"[2026-11-24 10:00:00 +0000] [1] [INFO] Handling signal: term\n[2026-11-24 10:00:30 +0000] [1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?\n";
        let found = diagnose_log(Component::Api, None, "log", log);
        let [(_, killed)] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(killed.code, Code::GunicornWorkerKilled);
        assert!(
            killed.message.starts_with("While it was stopping, Gunicorn had to kill a worker (pid 7)"),
            "{killed:#?}"
        );
    }
}
