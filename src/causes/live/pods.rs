//! What keeps pods from running, the same for every component.

use jiff::{SignedDuration, Timestamp};

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::gunicorn::container_out_of_memory,
    observe::{Observation, PodProblem, PodSummary},
    validate::{Change, Installation},
};

/// Waiting reasons of images that cannot be had.
const IMAGE_REASONS: &[&str] = &[
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
];

/// How long a pod may wait for a node before it is called unschedulable: a volume that is being provisioned, or a
/// node that an autoscaler adds, makes the scheduler say so for a few seconds of every normal start.
const SCHEDULING_TAKES: SignedDuration = SignedDuration::from_secs(20);

/// Lines of a container's last words that are shown.
const LAST_LINES: usize = 3;

/// Characters of one line of evidence.
const LINE_LIMIT: usize = 300;

/// One diagnosis for each kind of problem of a component's pods.
pub(super) fn check(
    installation: &Installation,
    observation: &Observation,
    label: &str,
    component: Component,
) -> Vec<Diagnosis> {
    let mut found: Vec<Diagnosis> = Vec::new();
    let pods: Vec<_> = observation
        .pods
        .iter()
        .filter(|pod| pod.component == label && !pod.terminating)
        .collect();
    for (pod, problem) in pods
        .iter()
        .flat_map(|pod| pod.problems.iter().map(move |problem| (*pod, problem)))
    {
        let Some(new) = problem_of(installation, pod, problem, component, observation.now) else {
            continue;
        };
        match found.iter_mut().find(|known| known.code == new.code) {
            Some(known) => known.evidence.extend(new.evidence),
            None => found.push(new),
        }
    }
    found
}

/// The last failed pod of a component with its exit status and termination message.
fn last_failed<'a>(
    observation: &'a Observation,
    label: &str,
) -> Option<(&'a PodSummary, i32, Option<&'a str>)> {
    observation
        .pods
        .iter()
        .filter(|pod| pod.component == label)
        .flat_map(|pod| {
            pod.problems.iter().filter_map(move |problem| match problem {
                PodProblem::Failed {
                    exit_code, message, ..
                } => Some((pod, *exit_code, message.as_deref())),
                _ => None,
            })
        })
        .last()
}

/// The termination message of the last failed pod of a component.
pub(crate) fn last_message<'a>(observation: &'a Observation, label: &str) -> Option<&'a str> {
    last_failed(observation, label).and_then(|(_, _, message)| message)
}

/// The exit status of the last failed pod of a component.
pub(super) fn last_status(observation: &Observation, label: &str) -> Option<i32> {
    last_failed(observation, label).map(|(_, exit_code, _)| exit_code)
}

/// The last words of the last failed pod of a component, as evidence.
pub(super) fn last_words(observation: &Observation, label: &str) -> Vec<String> {
    last_failed(observation, label)
        .map(|(pod, exit_code, message)| {
            let mut lines = vec![format!("pod {} ended with status {exit_code}", pod.name)];
            lines.extend(message.into_iter().flat_map(tail));
            lines
        })
        .unwrap_or_default()
}

fn problem_of(
    installation: &Installation,
    pod: &PodSummary,
    problem: &PodProblem,
    component: Component,
    now: Timestamp,
) -> Option<Diagnosis> {
    let migrations = component == Component::Migrations;
    let namespace = &installation.identity.namespace;
    let name = &pod.name;
    let named = |code, severity, message: String, evidence, remedy: String| {
        Some(diagnosis(code, severity, component, message, evidence, remedy))
    };
    match problem {
        PodProblem::Unschedulable { since: Some(since), .. }
            if now.duration_since(*since) < SCHEDULING_TAKES =>
        {
            None
        }
        PodProblem::Unschedulable { message: why, .. } => named(
            if migrations { Code::MigrationPodUnschedulable } else { Code::PodUnschedulable },
            Severity::Critical,
            format!("No node can take a pod of the {}.", component.as_str()),
            vec![format!("pod {name}: {why}")],
            "Lower resources.requests, change nodeSelector, affinity or tolerations, or add nodes.".to_owned(),
        ),
        PodProblem::Waiting { reason, message, image } if IMAGE_REASONS.contains(&reason.as_str()) => named(
            if migrations { Code::MigrationImagePullFailed } else { Code::ImagePullFailed },
            Severity::Critical,
            format!("The image {image} of the {} cannot be pulled.", component.as_str()),
            vec![format!("pod {name}: {reason}: {message}")],
            if installation.managed_by.is_operator() {
                "Check that spec.version exists as a tag, the repository in spec.images, and the credentials in spec.images.pullSecrets.".to_owned()
            } else {
                format!(
                    "Check that this tag exists and that the pull Secret is right; then name one that exists: {}",
                    installation.managed_by.change(&[Change::Tag(component, "RELEASE")])
                )
            },
        ),
        PodProblem::Waiting { reason, message, .. } if reason == PodProblem::CONFIG_ERROR => named(
            Code::ContainerConfigError,
            Severity::Critical,
            format!("A container of the {} cannot be created: {message}.", component.as_str()),
            vec![format!("pod {name}: {reason}: {message}")],
            missing(message, namespace).map_or_else(
                || format!("kubectl -n {namespace} describe pod {name}"),
                |object| format!("{object}, or take it out of env and envFrom of the {}. The kubelet tries again by itself.", component.as_str()),
            ),
        ),
        PodProblem::Waiting { reason, message, .. } => named(
            Code::CrashLooping,
            Severity::Critical,
            format!("A container of the {} cannot be started: {reason}.", component.as_str()),
            vec![format!("pod {name}: {message}")],
            format!("kubectl -n {namespace} describe pod {name}"),
        ),
        PodProblem::CrashLoop { restarts, exit_code, reason, message } => {
            let mut evidence = vec![format!(
                "pod {name}: restarted {}, last exit status {}{}",
                times(*restarts),
                exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string()),
                reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default(),
            )];
            evidence.extend(message.as_deref().into_iter().flat_map(tail));
            named(
                Code::CrashLooping,
                Severity::Critical,
                format!("The {} starts and ends again and again.", component.as_str()),
                evidence,
                format!("kubectl -n {namespace} logs {name} --previous"),
            )
        }
        PodProblem::OutOfMemory { restarts, limit } => {
            let found = container_out_of_memory::of_pod(installation, component, pod, &times(*restarts), limit.as_deref());
            Some(if migrations { Diagnosis { code: Code::MigrationOutOfMemory, ..found } } else { found })
        }
        // What a Job's pod left behind is told by the Job's own diagnosis.
        PodProblem::Failed { .. } => None,
    }
}

/// What the kubelet does not find, as something to do: `configmap "x" not found`, `secret "x" not found`,
/// `couldn't find key k in Secret ns/x` (kubelet 1.34, `kubelet_pods.go`).
fn missing(message: &str, namespace: &str) -> Option<String> {
    if let Some((_, rest)) = message.split_once("couldn't find key ") {
        let (key, object) = rest.split_once(" in ")?;
        return Some(format!("Add the key {key} to {object}"));
    }
    let (kind, rest) = message.split_once(" \"")?;
    let name = rest.strip_suffix("\" not found")?;
    let create = match kind {
        "configmap" => "configmap",
        "secret" => "secret generic",
        _ => return None,
    };
    Some(format!(
        "Create it: kubectl -n {namespace} create {create} {name} --from-literal=NAME=VALUE"
    ))
}

/// Rounded, so that a pod that restarts for days does not rewrite the status at each restart.
fn times(restarts: i32) -> String {
    match restarts {
        0 => "not yet".to_owned(),
        1 => "once".to_owned(),
        2..=4 => "a few times".to_owned(),
        5..=19 => "more than 5 times".to_owned(),
        _ => "more than 20 times".to_owned(),
    }
}

/// The last lines of a text, each cut to a length that one can read.
fn tail(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(LAST_LINES))
        .map(|line| {
            format!(
                "log: {}",
                crate::model::redact::redact(&line.chars().take(LINE_LIMIT).collect::<String>())
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "configmap \"settings\" not found",
        Some("create configmap settings --from-literal")
    )]
    #[case(
        "secret \"keys\" not found",
        Some("create secret generic keys --from-literal")
    )]
    #[case(
        "couldn't find key URL in Secret prod/db",
        Some("Add the key URL to Secret prod/db")
    )]
    #[case("container has runAsNonRoot and image will run as root", None)]
    fn what_is_missing_is_to_be_made(#[case] message: &str, #[case] expected: Option<&str>) {
        let found = missing(message, "prod");
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
}
