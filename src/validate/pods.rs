//! Rules for containers and pods: environment, labels, volumes, mounts.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

use super::problem::Problem;
use crate::{
    api::{ContainerSettings, FlagsmithDeploymentSpec, PodSettings},
    flagsmith::{self, env},
};

/// Volumes that the operator mounts itself, and where.
const OWN_VOLUMES: &[(&str, &str)] = &[("tmp", "/tmp"), ("prometheus", flagsmith::PROMETHEUS_DIR)];

/// Label and annotation prefixes that belong to the operator.
const OWN_PREFIXES: &[&str] = &["operator.flagsmith.com/", "app.kubernetes.io/"];

/// Everything that is wrong with the containers and pods of a specification.
pub(super) fn check(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    environment("spec.env", &spec.env, problems);
    for (field, container) in [
        ("spec.api", &spec.api.container),
        ("spec.taskProcessor", &spec.task_processor.container),
        ("spec.frontend", &spec.frontend.container),
    ] {
        component(field, container, problems);
    }
    let migrations = &spec.migrations;
    environment("spec.migrations.env", &migrations.env, problems);
    pod("spec.migrations", &migrations.pod, &migrations.volume_mounts, problems);
}

fn component(field: &str, container: &ContainerSettings, problems: &mut Vec<Problem>) {
    environment(&format!("{field}.env"), &container.env, problems);
    pod(field, &container.pod, &container.volume_mounts, problems);
}

fn environment(field: &str, variables: &[EnvVar], problems: &mut Vec<Problem>) {
    let mut observation = BTreeSet::new();
    for (index, variable) in variables.iter().enumerate() {
        let EnvVar { name, value, value_from } = variable;
        let item = format!("{field}[{index}]");
        let field = format!("{item}.name");
        if let Some(decided_by) = env::decided_by(name) {
            problems.push(Problem::invalid(
                &field,
                &format!("{name} is computed by the operator"),
                &format!("Remove it; it is decided by {decided_by}."),
            ));
        } else if !observation.insert(name) {
            problems.push(Problem::invalid(
                &field,
                &format!("{name} is set twice in this list"),
                "Remove one of the two.",
            ));
        }
        if name.is_empty() || name.contains('=') {
            problems.push(Problem::invalid(
                &field,
                &format!("{name:?} is no name of an environment variable"),
                "Write a name without \"=\", for example LOG_LEVEL.",
            ));
        }
        if value.as_ref().is_some_and(|value| !value.is_empty()) && value_from.is_some() {
            problems.push(Problem::invalid(
                &item,
                &format!("{name} has both value and valueFrom"),
                "Remove one of the two.",
            ));
        }
    }
}

fn pod(field: &str, pod: &PodSettings, mounts: &[VolumeMount], problems: &mut Vec<Problem>) {
    for key in pod.labels.keys().chain(pod.annotations.keys()) {
        if OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            problems.push(Problem::invalid(
                &format!("{field}.pod"),
                &format!("the label or annotation {key:?} belongs to the operator"),
                "Remove it, or use a prefix of your own.",
            ));
        }
    }
    let own = |name: &str| OWN_VOLUMES.iter().any(|(volume, _)| *volume == name);
    let mut names = BTreeSet::new();
    for Volume { name, .. } in &pod.volumes {
        if own(name) || !names.insert(name.as_str()) {
            problems.push(Problem::invalid(
                &format!("{field}.pod.volumes"),
                &format!("the name {name:?} is taken"),
                "Give the volume another name.",
            ));
        }
    }
    let mut paths: BTreeSet<_> = OWN_VOLUMES.iter().map(|(_, path)| *path).collect();
    for VolumeMount { name, mount_path, .. } in mounts {
        if !names.contains(name.as_str()) {
            problems.push(Problem::invalid(
                &format!("{field}.volumeMounts"),
                &format!("there is no volume {name:?} in {field}.pod.volumes"),
                "Add the volume, or remove the mount.",
            ));
        }
        if !paths.insert(mount_path.trim_end_matches('/')) {
            problems.push(Problem::invalid(
                &format!("{field}.volumeMounts"),
                &format!("something else is mounted at {mount_path:?} already"),
                "Mount the volume at another path.",
            ));
        }
    }
}
