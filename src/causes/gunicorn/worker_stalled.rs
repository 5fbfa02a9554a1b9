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
    remedy_here: Some(|context, _| managed(context)),
    ..Cause::warning(Component::Api, include_str!("worker_stalled.md"))
};

/// The operator keeps the heartbeat file in memory already, and knows whether there is a CPU limit.
fn managed(context: &Context<'_>) -> Option<String> {
    if !context.installation.managed_by.is_operator() {
        return None;
    }
    let limits = context.installation.api.resources.limits.as_ref();
    let limit = limits.and_then(|limits| limits.get("cpu"));
    let remedy = limit.map_or_else(
        || {
            "spec.api.resources sets no CPU limit, so it was not throttled. See what else stopped it at that time: the node's load \
             and memory (kubectl top node), a debugger or SIGSTOP, a library of the image that works in C."
                .to_owned()
        },
        |limit| {
            format!(
                "Look at CPU throttling before that time: rate(container_cpu_cfs_throttled_periods_total[5m]); then raise or remove \
                 spec.api.resources.limits.cpu (now {}).",
                limit.0
            )
        },
    );
    Some(remedy)
}

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    if logs.workers.regime != Some(WorkerClass::Threaded) {
        return None;
    }
    let Timeouts { subject, details, places, .. } = Timeouts::of(logs)?;
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
