//! What the API server's rules cannot see, and what they can, again: a resource that was stored before a rule
//! existed must be refused all the same.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

use super::Problem;
use crate::{
    api::{ContainerSettings, FlagsmithDeploymentSpec, PodSettings},
    flagsmith::env,
};

/// Volumes that the operator mounts itself.
pub(crate) const OWN_VOLUMES: &[&str] = &["tmp", "prometheus", "data", "run"];

/// Label and annotation prefixes that belong to the operator.
const OWN_PREFIXES: &[&str] = &["operator.flagsmith.com/", "app.kubernetes.io/"];

/// Everything that is wrong with a specification, except its version.
pub(super) fn check(spec: &FlagsmithDeploymentSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    database(spec, &mut problems);
    if !(5..=3600).contains(&spec.request_timeout_seconds) {
        problems.push(Problem::invalid(
            "spec.requestTimeoutSeconds",
            &format!("{} is not from 5 to 3600 (seconds)", spec.request_timeout_seconds),
            "Set it to the longest time that a request may take, for example 30.",
        ));
    }
    exposure(spec, &mut problems);
    environment("spec.env", &spec.env, &mut problems);
    for (field, container) in [
        ("spec.api", &spec.api.container),
        ("spec.taskProcessor", &spec.task_processor.container),
        ("spec.frontend", &spec.frontend.container),
    ] {
        component(field, container, &mut problems);
    }
    pod("spec.migrations.pod", &spec.migrations.pod, &[], &mut problems);
    problems
}

fn database(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let (message, remedy) = match (&spec.database.url_from, &spec.database.embedded) {
        (None, None) => (
            "neither urlFrom nor embedded is set",
            "Name the Secret with DATABASE_URL in spec.database.urlFrom.secretKeyRef, or set spec.database.embedded: {}.",
        ),
        (Some(_), Some(_)) => (
            "urlFrom and embedded exclude each other",
            "Remove one of the two.",
        ),
        _ => return,
    };
    problems.push(Problem::invalid("spec.database", message, remedy));
}

fn exposure(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let Some(exposure) = &spec.exposure else { return };
    if exposure.hosts.is_empty() {
        problems.push(Problem::invalid(
            "spec.exposure.hosts",
            "no host is named",
            "Name at least one host, such as \"flags.example.com\", or \"*\" for every host.",
        ));
    }
    for tls in exposure.ingress.iter().flat_map(|ingress| &ingress.tls) {
        for host in tls
            .hosts
            .iter()
            .flatten()
            .filter(|host| !exposure.hosts.contains(host))
        {
            problems.push(Problem::invalid(
                "spec.exposure.ingress.tls",
                &format!(
                    "host {host:?} is not one of spec.exposure.hosts, so its certificate would never be used"
                ),
                &format!("Add {host:?} to spec.exposure.hosts, or remove it from tls."),
            ));
        }
    }
}

fn component(field: &str, container: &ContainerSettings, problems: &mut Vec<Problem>) {
    environment(&format!("{field}.env"), &container.env, problems);
    pod(
        &format!("{field}.pod"),
        &container.pod,
        &container.volume_mounts,
        problems,
    );
}

fn environment(field: &str, variables: &[EnvVar], problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, variable) in variables.iter().enumerate() {
        let field = format!("{field}[{index}].name");
        if let Some(decided_by) = env::decided_by(&variable.name) {
            problems.push(Problem::invalid(
                &field,
                &format!("{} is computed by the operator", variable.name),
                &format!("Remove it; it is decided by {decided_by}."),
            ));
        } else if !seen.insert(&variable.name) {
            problems.push(Problem::invalid(
                &field,
                &format!("{} is set twice in this list", variable.name),
                "Remove one of the two.",
            ));
        }
    }
}

fn pod(field: &str, pod: &PodSettings, mounts: &[VolumeMount], problems: &mut Vec<Problem>) {
    for key in pod.labels.keys().chain(pod.annotations.keys()) {
        if OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            problems.push(Problem::invalid(
                field,
                &format!("the label or annotation {key:?} belongs to the operator"),
                "Remove it, or use a prefix of your own.",
            ));
        }
    }
    let mut names = BTreeSet::new();
    for Volume { name, .. } in &pod.volumes {
        if OWN_VOLUMES.contains(&name.as_str()) || !names.insert(name.as_str()) {
            problems.push(Problem::invalid(
                &format!("{field}.volumes"),
                &format!("the name {name:?} is taken"),
                "Give the volume another name.",
            ));
        }
    }
    for VolumeMount { name, .. } in mounts {
        if !names.contains(name.as_str()) {
            problems.push(Problem::invalid(
                &format!("{}.volumeMounts", field.trim_end_matches(".pod")),
                &format!("there is no volume {name:?} in {field}.volumes"),
                "Add the volume, or remove the mount.",
            ));
        }
    }
}
