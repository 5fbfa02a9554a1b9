//! A worker was killed for lack of memory.

use super::shared::workers::{pids, places, role};
use crate::{
    causes::{
        cause::Cause,
        log::{
            evidence::LogEvidence,
            finding::{Explanation, Finding},
            gunicorn::Kill,
            phrasing::times,
        },
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Api,
    in_logs: Some(in_logs),
    ..Cause::new(include_str!("worker_out_of_memory.md"))
};

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let kills: Vec<&Kill> = logs
        .workers
        .kills
        .iter()
        .filter(|kill| kill.signal == "SIGKILL" && !kill.stopping)
        .collect();
    kills.first()?;
    let explained = Explanation::new(
        Code::GunicornWorkerOutOfMemory,
        format!(
            "A worker of {} was killed with SIGKILL {} ({}), and Gunicorn had not timed it out before: the kernel's \
             memory killer, unless it was a kill -9. Its requests were cut, a proxy answers 502.",
            role(logs.component),
            times(kills.len() as u64),
            pids(kills.iter().map(|kill| kill.pid))
        ),
        "Raise the container's memory limit, or lower GUNICORN_WORKERS: each worker needs 190 to 220 MiB idle. \
         Confirm on the node: dmesg | grep -i 'killed process', or container_oom_events_total.",
    );
    Some(Finding::new(explained, places(&kills)))
}
