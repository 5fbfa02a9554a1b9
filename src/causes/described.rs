//! What keeps pods from running, as `kubectl describe pod` and `kubectl get events` show it: the counterpart of `pods`
//! for an installation of which nothing else is known.

use super::{
    log::{
        evidence::LogEvidence,
        finding::{Explanation, Finding, distinct},
        location::LogLocation,
        phrasing::{component, within},
    },
    pods,
};
use crate::{
    logs::description::{Container, Event, Line},
    model::{Code, Severity, redact::redact, shell, text::visible},
    observe::PodProblem,
};

/// The reason of a container that waits before it is started again.
const BACK_OFF: &str = "CrashLoopBackOff";

/// A finding with these lines of a description.
pub(crate) fn finding<'a>(
    logs: &LogEvidence,
    code: Code,
    (message, remedy): (String, String),
    lines: impl IntoIterator<Item = &'a Line>,
) -> Finding {
    let lines = lines.into_iter().map(|line| LogLocation::described(line, logs.described.input));
    Finding::new(Explanation::new(code, message, remedy), distinct(lines.collect()))
}

/// Events with this reason whose message has one of these words.
pub(crate) fn events<'a>(
    logs: &'a LogEvidence,
    reason: &'static str,
    words: &'static [&'static str],
) -> impl Iterator<Item = &'a Event> {
    let events = logs.described.events.iter();
    events.filter(move |it| it.reason == reason && words.iter().any(|words| it.message.contains(words)))
}

/// Whether no pod is described that is well: without a description nothing is known of that.
pub(crate) fn is_unready(logs: &LogEvidence) -> bool {
    logs.described.containers.is_empty() || logs.described.containers.iter().any(|it| !it.ready)
}

/// An image that cannot be pulled.
pub(crate) fn image_pull_failed(logs: &LogEvidence, code: Code) -> Option<Finding> {
    let waiting = waiting(logs, pods::is_image_reason).next();
    let failed = || events(logs, "Failed", &["Failed to pull image", "Failed to inspect image"]);
    let said = failed().last();
    if waiting.is_none() && (said.is_none() || !logs.described.containers.is_empty()) {
        return None;
    }
    let image = waiting.map(|(container, _)| container.image.as_str());
    let image = image.or_else(|| said?.message.split('"').nth(1)).unwrap_or_default();
    let told = (
        format!("The image {} of {} cannot be pulled.", redact(&visible(image)), of(logs)),
        "Correct the image's name or tag (in the official chart api.image.tag, without a leading v), or give the \
         pods an image pull secret for its registry. The kubelet tries again by itself."
            .to_owned(),
    );
    let lines = said.map(|it| &it.line).into_iter().chain(waiting.map(|(_, line)| line));
    Some(finding(logs, code, told, lines))
}

/// A container that refers to something that is not there.
pub(crate) fn config_error(logs: &LogEvidence, code: Code) -> Option<Finding> {
    const MISSING: &[&str] = &["not found", "couldn't find key", "references non-existent"];
    let waiting = waiting(logs, |reason| reason == PodProblem::CONFIG_ERROR).next().map(|(_, line)| line);
    let unready = is_unready(logs);
    let of_container = events(logs, "Failed", MISSING).filter(|it| it.message.starts_with("Error: "));
    let said = of_container.chain(events(logs, "FailedMount", MISSING)).last();
    let said = said.filter(|_| unready);
    if waiting.is_none() && said.is_none() {
        return None;
    }
    let what = said.map_or(String::new(), |it| format!(": {}", redact(&visible(&it.message))));
    let told = (
        format!("A container of {} cannot be created, because it refers to something that is not there{what}.", of(logs)),
        "Create the Secret, the ConfigMap or the key that is named, in the namespace of the pod, or take the \
         reference out of env, envFrom or the volumes. The kubelet tries again by itself."
            .to_owned(),
    );
    Some(finding(logs, code, told, said.map(|it| &it.line).into_iter().chain(waiting)))
}

/// A pod that no node can take.
pub(crate) fn unschedulable(logs: &LogEvidence, code: Code) -> Option<Finding> {
    let placed =
        |object: &str| logs.described.events.iter().any(|it| it.object == object && it.reason == "Scheduled");
    let mut newest = logs.described.events.iter().rev();
    let said = newest.find(|it| it.reason == "FailedScheduling" && !placed(&it.object))?;
    let told = (
        format!(
            "No node can take a pod of {}: {}.",
            of(logs),
            redact(&visible(said.message.trim_end_matches('.')))
        ),
        "Lower resources.requests, change nodeSelector, affinity or tolerations, or add nodes.".to_owned(),
    );
    Some(finding(logs, code, told, [&said.line]))
}

/// A container that was killed for its memory.
pub(crate) fn out_of_memory(logs: &LogEvidence, code: Code) -> Option<Finding> {
    let ended = |it: &'_ Container| it.ended.as_ref().is_some_and(|ended| ended.reason == "OOMKilled");
    let container = logs.described.containers.iter().find(|it| ended(it))?;
    let limit = container.memory.as_ref().map_or(String::new(), |limit| format!(" ({})", visible(limit)));
    let told = (
        format!("A container of {} was killed because it used more memory than its limit{limit}.", of(logs)),
        format!(
            "Raise resources.limits.memory of the container {}.",
            shell::name(&container.name, "CONTAINER")
        ),
    );
    let mut found = finding(logs, code, told, container.ended.as_ref().map(|it| &it.line));
    if container.ready {
        found.explained = found.explained.with(Severity::Warning);
    }
    Some(found)
}

/// Pods that the API server refuses to create, in words that `is` recognises.
pub(crate) fn refused(logs: &LogEvidence, code: Code, is: fn(&str) -> bool, remedy: &str) -> Option<Finding> {
    let said = events(logs, "FailedCreate", &["forbidden", "denied"]).filter(|it| is(&it.message)).last()?;
    let told = (format!("Kubernetes refuses to create pods of {}.", of(logs)), remedy.to_owned());
    Some(finding(logs, code, told, [&said.line]))
}

/// A container that ends again and again.
pub(crate) fn crash_loop(logs: &LogEvidence, code: Code) -> Option<Finding> {
    let container = waiting(logs, |reason| reason == BACK_OFF).next().map(|(container, _)| container)?;
    let ended = container.ended.as_ref();
    let status = ended.and_then(|it| it.exit_code);
    let status = status.map_or(String::new(), |code| format!(" with exit status {code}"));
    let name = shell::name(&container.name, "CONTAINER");
    let told = (
        format!(
            "The container {name} starts and ends again and again{status}. Why stands in its log, not here."
        ),
        format!(
            "Read what it said before it ended: kubectl logs {} -c {name} --previous",
            shell::name(&container.pod, "POD")
        ),
    );
    let lines = container.waiting.iter().chain(ended).map(|it| &it.line);
    Some(finding(logs, code, told, lines))
}

/// A container that runs, is not ready, and was not ended for that.
pub(crate) fn unanswered(logs: &LogEvidence, code: Code) -> Option<Finding> {
    let runs = |it: &&Container| !it.ready && it.waiting.is_none() && it.liveness.is_some();
    let container = logs.described.containers.iter().find(runs)?;
    let said = events(logs, "Unhealthy", &["probe failed"]).last()?;
    let told = (
        format!("A pod of {} runs but does not answer its probes, so it gets no requests.", of(logs)),
        format!(
            "See what it says: kubectl logs {} -c {}",
            shell::name(&container.pod, "POD"),
            shell::name(&container.name, "CONTAINER")
        ),
    );
    Some(finding(logs, code, told, [&said.line]))
}

/// Containers that wait for a reason of this kind, with the line that says so.
fn waiting(logs: &LogEvidence, is: fn(&str) -> bool) -> impl Iterator<Item = (&Container, &Line)> {
    logs.described.containers.iter().filter_map(move |container| {
        let waiting = container.waiting.as_ref().filter(|it| is(&it.reason))?;
        Some((container, &waiting.line))
    })
}

fn of(logs: &LogEvidence) -> String {
    within(component(logs.component))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::log::investigation::read_one,
        model::{Code, Component},
    };

    /// A pod with these lines about its container, and these rows of Events.
    fn pod(container: &[&str], events: &[&str]) -> String {
        let container = container.join("\n    ");
        let events = events.join("\n  ");
        format!(
            "Name:             flagsmith-1\nNamespace:        flagsmith\nContainers:\n  flagsmith:\n    \
             Image:          flagsmith/flagsmith-api:2.265.0\n    {container}\nEvents:\n  \
             Type     Reason     Age   From     Message\n  {events}\n"
        )
    }

    fn found(component: Component, text: &str) -> Vec<(Code, String)> {
        let found = read_one(component, text.as_bytes()).unwrap();
        found.into_iter().map(|it| (it.code, format!("{} {}", it.message, it.remedy))).collect()
    }

    const WAITS: [&str; 3] =
        ["State:          Waiting", "  Reason:       CrashLoopBackOff", "Ready:          False"];
    const KILLED: [&str; 4] =
        ["State:   Running", "Last State:  Terminated", "  Reason:  OOMKilled", "Ready:   False"];
    const RUNS: [&str; 3] = [
        "State:          Running",
        "Ready:          False",
        "Liveness:     http-get http://:8000/health/liveness/ delay=10s",
    ];
    const PULLS: [&str; 3] =
        ["State:          Waiting", "  Reason:       ImagePullBackOff", "Ready:          False"];
    const LACKS: [&str; 3] =
        ["State:          Waiting", "  Reason:       CreateContainerConfigError", "Ready:          False"];
    const REFUSED: &str = "Warning  Unhealthy  4m   kubelet  Liveness probe failed: dial tcp 10.1.1.1:8000: connect: connection refused";
    const LATE: &str = "Warning  Unhealthy  4m   kubelet  Liveness probe failed: context deadline exceeded";
    const ENDED: &str =
        "Normal   Killing    4m   kubelet  Container flagsmith failed liveness probe, will be restarted";
    const UNREADY: &str =
        "Warning  Unhealthy  4m   kubelet  Readiness probe failed: HTTP probe failed with statuscode: 500";
    const NO_IMAGE: &str =
        "Warning  Failed  4m  kubelet  Failed to pull image \"flagsmith/flagsmith-api:v2\": not found";
    const NO_KEY: &str =
        "Warning  Failed  4m  kubelet  Error: couldn't find key DATABASE_URL in Secret flagsmith/db";
    const NO_VOLUME: &str = "Warning  FailedMount  4m  kubelet  MountVolume.SetUp failed for volume \"ca\" : secret \"ca\" not found";
    const NO_NODE: &str =
        "Warning  FailedScheduling  4m  default-scheduler  0/3 nodes are available: 3 Insufficient memory.";
    const PLACED: &str =
        "Normal  Scheduled  3m  default-scheduler  Successfully assigned flagsmith/flagsmith-1 to a";
    const QUOTA: &str = "Warning  FailedCreate  4m  replicaset-controller  Error creating: pods \"a\" is forbidden: exceeded quota: small";
    const POLICY: &str = "Warning  FailedCreate  4m  replicaset-controller  Error creating: pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\"";

    #[rstest]
    #[case::starts_slowly(&RUNS, &[REFUSED, ENDED], Code::LivenessProbeKilling, "startupProbe")]
    #[case::is_busy(&RUNS, &[LATE, ENDED], Code::LivenessProbeKilling, "in time")]
    #[case::is_killed_and_waits(&WAITS, &[REFUSED, ENDED], Code::LivenessProbeKilling, "startupProbe")]
    #[case::does_not_answer(&RUNS, &[UNREADY], Code::ProbeFailing, "kubectl logs flagsmith-1 -c flagsmith")]
    #[case::image(&PULLS, &[NO_IMAGE], Code::ImagePullFailed, "flagsmith/flagsmith-api:2.265.0")]
    #[case::key(&LACKS, &[NO_KEY], Code::ContainerConfigError, "couldn't find key DATABASE_URL")]
    #[case::volume(&["Ready:  False"], &[NO_VOLUME], Code::ContainerConfigError, "secret \"ca\" not found")]
    #[case::node(&[], &[NO_NODE], Code::PodUnschedulable, "3 Insufficient memory")]
    #[case::quota(&[], &[QUOTA], Code::QuotaExceeded, "ResourceQuota")]
    #[case::policy(&[], &[POLICY], Code::AdmissionDenied, "admission rule")]
    #[case::memory(&KILLED, &[], Code::ContainerOutOfMemory, "the container flagsmith")]
    #[case::unknown(&WAITS, &[], Code::CrashLooping, "kubectl logs flagsmith-1 -c flagsmith --previous")]
    #[case::was_placed(&["Ready:  True"], &[NO_NODE, PLACED], Code::NotALog, "no log")]
    #[case::was_mounted(&["Ready:  True"], &[NO_VOLUME], Code::NotALog, "no log")]
    #[case::image_came(&["Ready:  True"], &[NO_IMAGE], Code::NotALog, "no log")]
    #[case::became_ready(&["State:  Running", "Ready:  True"], &[UNREADY], Code::NotALog, "no log")]
    fn a_described_pod(
        #[case] container: &[&str],
        #[case] events: &[&str],
        #[case] code: Code,
        #[case] words: &str,
    ) {
        let found = found(Component::Api, &pod(container, events));
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [code], "{found:#?}");
        assert!(found[0].1.contains(words), "{found:#?}");
    }

    #[rstest]
    #[case::image(&PULLS, &[NO_IMAGE], Code::MigrationImagePullFailed)]
    #[case::node(&[], &[NO_NODE], Code::MigrationPodUnschedulable)]
    #[case::memory(&KILLED, &[], Code::MigrationOutOfMemory)]
    fn a_described_pod_that_migrates(
        #[case] container: &[&str],
        #[case] events: &[&str],
        #[case] code: Code,
    ) {
        let found = found(Component::Migrations, &pod(container, events));
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [code], "{found:#?}");
    }

    #[test]
    fn what_a_description_says_is_not_taken_at_its_word() {
        let text = pod(&["State:  Waiting", "  Reason:  CrashLoopBackOff", "Ready:  False"], &[]);
        let found = found(Component::Api, &text.replace("flagsmith-1", "x;curl\u{202e}"));
        assert!(found[0].1.contains("kubectl logs POD -c flagsmith"), "{found:#?}");
    }
}
