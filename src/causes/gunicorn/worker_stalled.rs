//! A whole worker process stood still.

use super::shared::workers::Timeouts;
use crate::{causes::prelude::*, flagsmith::WorkerClass};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::same_component(&[
        Code::LivenessProbeKilling,
        Code::ProbeFailing,
        Code::CrashLooping,
    ])],
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("worker_stalled.md"))
};

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    if logs.workers.regime != Some(WorkerClass::Threaded) {
        return None;
    }
    let Timeouts { subject, details, places } = Timeouts::of(logs)?;
    let explained = Explanation::new(
        Code::GunicornWorkerStalled,
        format!(
            "{subject} because the whole process stood still for longer than the timeout. The workers are threaded \
             (gthread), where a slow request alone does not do that: the CPU limit throttled it, it swapped, or \
             native code held the interpreter. All requests of that worker were cut, a proxy answers 502.{details}"
        ),
        "Look at CPU throttling before the timeout: rate(container_cpu_cfs_throttled_periods_total[5m]); raise or \
         remove the CPU limit, and keep the worker's heartbeat file in memory: --worker-tmp-dir /dev/shm before the \
         sub-command (\"start --worker-tmp-dir /dev/shm api\").",
    );
    Some(Finding::new(explained, places))
}
