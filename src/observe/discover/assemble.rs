//! What the objects of an installation show. Pure.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{found::Found, migrators, objects::Objects, select, select::Selected};
use crate::{
    api::FlagsmithDeploymentStatus,
    observe::{
        Observation,
        exposure::{ingress_state, route_state},
    },
};

/// What was seen of the objects; Secrets and database are looked at elsewhere.
pub(crate) fn assemble(
    found: &Found,
    selected: &Selected<'_>,
    objects: &Objects,
    previous: FlagsmithDeploymentStatus,
    now: Timestamp,
) -> Observation {
    let ingress = selected.ingresses.first().map(|ingress| ingress_state(ingress));
    let route = selected.routes.first().map(route_state);
    Observation {
        api: found.api.clone(),
        task_processor: found.task_processor.clone(),
        frontend: found.frontend.clone(),
        jobs: selected.jobs.iter().map(|job| migrators::job(job)).collect(),
        pods: selected.pods(objects),
        external_autoscalers: selected.autoscalers.iter().filter_map(|it| select::targets(it)).collect(),
        migrators: migrators::runs(found, selected, objects),
        release_assumed: found.release_assumed,
        services: objects.services.iter().map(|service| service.name_any()).collect(),
        releases: selected.releases.clone(),
        http_route_api: objects.routes.is_some(),
        exposure: ingress.or(route),
        front: selected.front(objects),
        ..Observation::unseen(previous, now)
    }
}
