//! A worker was killed for lack of memory.

use super::shared::workers::{pids, places, role};
use crate::causes::{
    log::{gunicorn::Kill, phrasing::times},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    remedy_here: Some(|context, found| {
        let raise = context.installation.managed_by.raise_memory(found.component)?;
        Some(format!("{raise} Confirm on the node: {CONFIRM}."))
    }),
    ..Cause::warning(Component::Api, include_str!("worker_out_of_memory.md"))
};

/// What shows it on the node.
const CONFIRM: &str = "dmesg | grep -i 'killed process', or container_oom_events_total";

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let kills: Vec<&Kill> =
        logs.workers.kills.iter().filter(|kill| kill.signal == "SIGKILL" && !kill.stopping).collect();
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
        format!(
            "Raise the container's memory limit, or lower GUNICORN_WORKERS (each worker needs 190 to 220 MiB idle). Confirm \
             on the node: {CONFIRM}."
        ),
    );
    Some(Finding::new(explained, places(&kills)))
}
