//! SIGKILL, with which the kernel ends what goes over its memory limit: how logs tell it, and how to confirm it.

use super::log::{failure::Failure, timeline::ProcessTimeline};

/// 128 and the signal's number, as Docker Compose tells it.
const EXIT_STATUS: &str = "exited with code 137";

/// How to confirm that memory was the reason, where Docker runs the container.
pub(crate) const CONFIRM_WITH_DOCKER: &str = "docker inspect -f '{{.State.OOMKilled}}' CONTAINER";

/// The same where Kubernetes runs it; the answer is `OOMKilled`.
pub(crate) const CONFIRM_WITH_KUBECTL: &str =
    "kubectl get pod POD -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}'";

/// Whether a line is the exit status of a container that SIGKILL ended.
pub(crate) fn is_exit_status(failure: &Failure<'_>) -> bool {
    failure.class.is_empty() && failure.message.trim().starts_with(EXIT_STATUS)
}

/// Whether a line says that the kernel killed a process: `Killed`, or `line 12:    34 Killed    flagsmith migrate` of
/// the shell that waits for it.
pub(crate) fn is_line(failure: &Failure<'_>) -> bool {
    let line = failure.message.trim();
    failure.class.is_empty()
        && (line == "Killed"
            || line.contains(": ") && line.contains(" Killed ")
            || line.contains("OOMKilled"))
}

/// Whether a container that ended with SIGKILL was Flagsmith's and at work: `docker compose stop` kills what does not
/// end in time, and other services than Flagsmith's may be in the same log.
pub(crate) fn was_at_work(timeline: &ProcessTimeline) -> bool {
    match timeline.runs.last() {
        Some(run) if timeline.up == 0 => run.current.is_some(),
        _ => timeline.up > 0 && timeline.stopping.is_none(),
    }
}
