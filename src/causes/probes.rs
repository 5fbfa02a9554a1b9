//! What the kubelet's Events say of a pod's probes.

use jiff::{SignedDuration, Timestamp};

use crate::{
    flagsmith,
    model::Component,
    observe::{Observation, PodSummary},
};

/// The components whose pods have probes that Flagsmith answers.
pub(crate) const PROBED: [Component; 4] =
    [Component::TaskProcessor, Component::Api, Component::Frontend, Component::EdgeProxy];

/// How long after a container was started again that is still told.
const RESTART_COUNTS: SignedDuration = SignedDuration::from_mins(10);

/// The pods of a component that are not ready.
pub(crate) fn unready(observation: &Observation, component: Component) -> impl Iterator<Item = &PodSummary> {
    observation
        .pods
        .iter()
        .filter(move |pod| pod.component == Some(component) && !pod.terminating && !pod.ready)
}

/// What the kubelet says of a pod's probes.
pub(crate) fn said(observation: &Observation, pod: &PodSummary) -> Vec<String> {
    let warnings = observation.pod_logs.warnings.iter();
    warnings
        .filter(|warning| warning.pod == pod.name && warning.reason == "Unhealthy")
        .map(|warning| format!("pod {}: {}", pod.name, warning.message.trim()))
        .collect()
}

/// Whether the kubelet's words are about a liveness probe: one whose program cannot be run has "errored".
pub(crate) fn is_of_liveness(words: &str) -> bool {
    ["Liveness probe failed", "Liveness probe errored"].iter().any(|begin| words.contains(begin))
}

/// How a container runtime says that a program is not in an image.
const NOT_FOUND: &str = "executable file not found";

/// What to do about a probe of a component that runs a program which its image does not have.
pub(crate) fn without_program(component: Component) -> String {
    let (paths, port, command) = match component {
        Component::Frontend => (flagsmith::FRONTEND_HEALTH_PATH.to_owned(), flagsmith::FRONTEND_PORT, ""),
        Component::EdgeProxy => (
            format!("{} or {}", flagsmith::EDGE_PROXY_LIVENESS_PATH, flagsmith::EDGE_PROXY_READINESS_PATH),
            flagsmith::EDGE_PROXY_PORT,
            "",
        ),
        _ => (
            format!("{} or {}", flagsmith::LIVENESS_PATH, flagsmith::READINESS_PATH),
            flagsmith::HTTP_PORT,
            ", or run what the image has: flagsmith healthcheck tcp",
        ),
    };
    format!("Let the probe ask over HTTP (httpGet, path {paths}, port {port}){command}.")
}

/// The program that a probe was to run and that is not there, as a container runtime says it. Where the runtime answers so
/// through the CRI (containerd), the kubelet throws the result away: a pod is neither ended for it nor ever becomes ready.
pub(crate) fn missing_program(words: &str) -> Option<String> {
    let (before, _) = words.split_once(NOT_FOUND)?;
    let (_, name) = before.rsplit_once("exec: ")?;
    let name = name.trim_matches(|it: char| it == '"' || it == '\\' || it == ':' || it == ' ');
    Some(name.to_owned())
}

/// Whether a container was started again lately because of what was `said`: one that SIGTERM ends may do so with
/// status 0, which its own status does not tell from an ordinary end.
pub(crate) fn was_killed(said: &[String], pod: &PodSummary, now: Timestamp) -> bool {
    let lately = |since: Timestamp| now.duration_since(since) < RESTART_COUNTS;
    said.iter().any(|line| is_of_liveness(line))
        && pod
            .containers
            .iter()
            .any(|container| container.restarts > 0 && container.running_since.is_none_or(lately))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        Component::Api,
        "path /health/liveness/ or /health/readiness/, port 8000), or run what the image has: flagsmith"
    )]
    #[case(Component::Frontend, "path /health, port 8080).")]
    #[case(Component::EdgeProxy, "path /proxy/health/liveness or /proxy/health/readiness, port 8000).")]
    fn what_a_probe_can_ask_is_of_its_component(#[case] component: Component, #[case] expected: &str) {
        let remedy = without_program(component);
        assert!(remedy.contains(expected), "{remedy}");
    }
}
