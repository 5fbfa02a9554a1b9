//! Rules for containers and pods: environment, labels, volumes, mounts.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, EnvVar, Volume, VolumeMount};
use serde_json::json;

use super::{integrations, problem::Problem};
use crate::{
    api::{ContainerSettings, FlagsmithDeploymentSpec, PodSettings},
    flagsmith::{self, env},
    model::child::marks,
};

/// Volumes that the operator mounts itself, and where.
const OWN_VOLUMES: &[(&str, &str)] = &[
    ("tmp", "/tmp"),
    ("prometheus", flagsmith::PROMETHEUS_DIR),
    ("flagsmith-database-ca", "/etc/flagsmith-database"),
];

/// Everything that is wrong with the containers and pods of a specification.
pub(super) fn check(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    environment("spec.env", &spec.env, problems);
    let integrations = integrations::variables(&spec.integrations);
    for (field, variables) in [
        ("spec.env", &spec.env),
        ("spec.api.env", &spec.api.container.env),
        ("spec.taskProcessor.env", &spec.task_processor.container.env),
        ("spec.migrations.env", &spec.migrations.env),
    ] {
        let by = |name: &str| integrations.iter().find(|it| it.name == name).map(|it| it.field);
        decided(field, variables, by, problems);
    }
    for (field, container) in [
        ("spec.api", &spec.api.container),
        ("spec.taskProcessor", &spec.task_processor.container),
        ("spec.frontend", &spec.frontend.container),
    ] {
        component(field, container, problems);
    }
    if let Some(edge_proxy) = &spec.edge_proxy {
        let field = "spec.edgeProxy";
        component(field, &edge_proxy.container, problems);
        let reserved = |name: &str| {
            let mut reserved = env::edge_proxy::RESERVED.iter();
            reserved.find(|(reserved, _)| name.eq_ignore_ascii_case(reserved)).map(|(_, by)| *by)
        };
        decided(&format!("{field}.env"), &edge_proxy.container.env, reserved, problems);
    }
    let migrations = &spec.migrations;
    environment("spec.migrations.env", &migrations.env, problems);
    pod("spec.migrations", &migrations.pod, &migrations.volume_mounts, problems);
    if !migrations.pod.extra_containers.is_empty() {
        problems.push(Problem::invalid(
            "spec.migrations.pod.extraContainers",
            "a Job ends only when all of its containers have ended, so these would keep it running",
            "Move them to spec.migrations.pod.initContainers with restartPolicy: Always; Kubernetes ends them with the migration.",
        ));
    }
}

fn component(field: &str, container: &ContainerSettings, problems: &mut Vec<Problem>) {
    environment(&format!("{field}.env"), &container.env, problems);
    pod(field, &container.pod, &container.volume_mounts, problems);
}

/// Refuses variables that a field decides, besides those that are the operator's everywhere.
fn decided<'a>(
    field: &str,
    variables: &[EnvVar],
    by: impl Fn(&str) -> Option<&'a str>,
    problems: &mut Vec<Problem>,
) {
    for (index, EnvVar { name, .. }) in variables.iter().enumerate() {
        if let Some(by) = by(name) {
            problems.push(computed(&format!("{field}[{index}].name"), name, by));
        }
    }
}

fn computed(field: &str, name: &str, by: &str) -> Problem {
    Problem::invalid(
        field,
        &format!("{name} is computed by the operator"),
        &format!("Remove it; it is decided by {by}."),
    )
}

fn environment(field: &str, variables: &[EnvVar], problems: &mut Vec<Problem>) {
    let mut observation = BTreeSet::new();
    for (index, variable) in variables.iter().enumerate() {
        let EnvVar { name, value, value_from } = variable;
        let item = format!("{field}[{index}]");
        let field = format!("{item}.name");
        if let Some(decided_by) = env::decided_by(name) {
            problems.push(computed(&field, name, decided_by));
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
    let own = |name: &str| OWN_VOLUMES.iter().any(|(volume, _)| *volume == name);
    let mut names = BTreeSet::new();
    for (index, volume) in pod.volumes.iter().enumerate() {
        let name = &volume.name;
        if let Err(error) = serde_json::from_value::<Volume>(json!(volume)) {
            problems.push(Problem::invalid(
                &format!("{field}.pod.volumes[{index}]"),
                &format!("it is no volume: {error}"),
                "Write it as in the volumes of a pod.",
            ));
        }
        if own(name) || !names.insert(name.as_str()) {
            problems.push(Problem::invalid(
                &format!("{field}.pod.volumes"),
                &format!("the name {name:?} is taken"),
                "Give the volume another name.",
            ));
        }
    }
    containers(field, pod, problems);
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

/// Containers beside the operator's own.
fn containers(field: &str, pod: &PodSettings, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    let lists = [("extraContainers", &pod.extra_containers), ("initContainers", &pod.init_containers)];
    for (list, containers) in lists {
        for (index, container) in containers.iter().enumerate() {
            let field = format!("{field}.pod.{list}[{index}]");
            let name = &container.name;
            if marks::is_own_container(name) || !names.insert(name) {
                problems.push(Problem::invalid(
                    &format!("{field}.name"),
                    &format!("the name {name:?} is taken"),
                    "Give the container another name.",
                ));
            }
            if let Err(error) = serde_json::from_value::<Container>(json!(container)) {
                problems.push(Problem::invalid(
                    &field,
                    &format!("it is no container: {error}"),
                    "Write it as in the containers of a pod.",
                ));
            }
        }
    }
}
