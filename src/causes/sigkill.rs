//! SIGKILL, with which the kernel ends what goes over its memory limit: how logs tell it, and how to confirm it.

use super::log::failure::Failure;

/// How to confirm that memory was the reason, where Docker runs the container.
pub(crate) const CONFIRM_WITH_DOCKER: &str = "docker inspect -f '{{.State.OOMKilled}}' CONTAINER";

/// The same where Kubernetes runs it; the answer is `OOMKilled`.
pub(crate) const CONFIRM_WITH_KUBECTL: &str =
    "kubectl get pod POD -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}'";

/// Whether a line says that the kernel killed a process: `Killed`, or `line 12:    34 Killed    flagsmith migrate` of
/// the shell that waits for it.
pub(crate) fn is_line(failure: &Failure<'_>) -> bool {
    let line = failure.message.trim();
    failure.class.is_empty()
        && (line == "Killed"
            || line.contains(": ") && (line.contains(" Killed ") || line.ends_with(" Killed"))
            || line.contains("OOMKilled"))
}
