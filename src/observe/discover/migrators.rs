//! Containers of an installation that migrate its database, and their runs. Pure.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerState as Status, ContainerStatus},
};
use kube::ResourceExt as _;

use super::{found::Found, objects::Objects, select::Selected};
use crate::{
    model::Component,
    observe::{ConfigMaps, ContainerState, JobState, MigratorRun, WorkloadState},
};

/// A Job that migrates, with the release of its image: the chart's version label is the chart's own default.
pub(super) fn job(job: &Job) -> JobState {
    let pods = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let image = pods.and_then(|pods| pods.containers.first());
    let container = image.map(|container| ContainerState::new(container, &ConfigMaps::new()));
    let state = JobState::from(job);
    JobState { release: container.and_then(|it| it.release).or(state.release), ..state }
}

/// Every run of a container that only migrates, as the pods' statuses still tell. One that serves afterwards says
/// nothing by its end.
pub(super) fn runs(found: &Found, selected: &Selected<'_>, objects: &Objects) -> Vec<MigratorRun> {
    let migrates = |component: Component, container: &str| {
        let state = match component {
            Component::Api => &found.api,
            Component::Migrations => return true,
            _ => return false,
        };
        state.as_ref().is_some_and(|state| named(state, container).is_some_and(|it| it.runs("migrate")))
    };
    let mut runs: Vec<MigratorRun> = selected
        .pods_of(objects)
        .flat_map(|(component, pod)| {
            let status = pod.status.as_ref();
            let containers = status.into_iter().flat_map(|status| {
                status
                    .init_container_statuses
                    .iter()
                    .flatten()
                    .chain(status.container_statuses.iter().flatten())
            });
            containers
                .filter(move |container| migrates(component, &container.name))
                .flat_map(|container| of(&pod.name_any(), container))
                .collect::<Vec<_>>()
        })
        .collect();
    runs.sort_by(|a, b| (a.started, &a.pod).cmp(&(b.started, &b.pod)));
    runs
}

fn named<'a>(state: &'a WorkloadState, container: &str) -> Option<&'a ContainerState> {
    let mut all = state.init_containers.iter().chain(state.containers.iter());
    all.find(|it| it.name == container)
}

fn of(pod: &str, container: &ContainerStatus) -> Vec<MigratorRun> {
    [&container.last_state, &container.state]
        .into_iter()
        .flatten()
        .filter_map(|state| run(pod, &container.name, state))
        .collect()
}

/// A run that is over.
fn run(pod: &str, container: &str, state: &Status) -> Option<MigratorRun> {
    let ended = state.terminated.as_ref()?;
    Some(MigratorRun {
        pod: pod.to_owned(),
        container: container.to_owned(),
        started: ended.started_at.as_ref()?.0,
        finished: ended.finished_at.as_ref().map(|time| time.0),
        exit_code: Some(ended.exit_code),
    })
}
