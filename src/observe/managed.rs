//! What the objects of an installation that the operator made show. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;

use super::{
    children::{Children, Jobs},
    exposure::{ExposureState, ingress_state, route_state},
    front::FrontSeen,
    job::JobState,
    observation::Observation,
    pod::PodSummary,
    workload::WorkloadState,
};
use crate::{
    api::FlagsmithDeploymentStatus,
    model::{Component, child::Kind},
    validate::{Behind, Entrance, Installation},
};

/// Puts together what its objects show; nothing else has been asked yet.
pub(super) fn assemble(
    children: &Children<'_>,
    installation: &Installation,
    [api, task_processor, frontend, edge_proxy]: [Option<WorkloadState>; 4],
    mut pods: Vec<PodSummary>,
    previous: FlagsmithDeploymentStatus,
    now: Timestamp,
) -> Observation {
    let Jobs { migrations: jobs, backups, pulls } = children.jobs();
    for jobs in [&jobs, &backups, &pulls] {
        JobState::leave_history_out(jobs, &mut pods);
    }
    let database = installation.child(Component::Database.as_str());
    Observation {
        api,
        task_processor,
        frontend,
        edge_proxy,
        embedded_database: children.stateful_set(&database),
        jobs,
        backups,
        pulls,
        pods,
        external_autoscalers: children.external_autoscalers(),
        exposure: exposure(children, installation, installation.exposure.as_ref()),
        front: front(children, installation, installation.exposure.as_ref()),
        api_exposure: exposure(children, installation, installation.api_exposure.as_ref()),
        api_front: front(children, installation, installation.api_exposure.as_ref()),
        edge_exposure: exposure(children, installation, installation.edge_exposure.as_ref()),
        edge_front: front(children, installation, installation.edge_exposure.as_ref()),
        ..Observation::unseen(previous, now)
    }
}

/// How the wanted one stands; `None` where none is wanted, or it is not there yet.
fn exposure(
    children: &Children<'_>,
    installation: &Installation,
    entrance: Option<&Entrance>,
) -> Option<ExposureState> {
    let entrance = entrance?;
    let name = entrance.name(&installation.identity);
    if entrance.ingress.is_some() {
        return children.owned(Kind::Ingress, &name).map(|ingress| ingress_state(&ingress));
    }
    children.owned(Kind::HttpRoute, &name).map(|route| route_state(&route))
}

/// What the installation's own Service, and its Ingress or `HTTPRoute`, say.
fn front(children: &Children<'_>, installation: &Installation, entrance: Option<&Entrance>) -> FrontSeen {
    let mut front = FrontSeen::default();
    let Some(entrance) = entrance else {
        return front;
    };
    let component = match entrance.behind {
        Behind::Everything | Behind::Api => Component::Api,
        Behind::EdgeProxy => Component::EdgeProxy,
    };
    let service = installation.child(component.as_str());
    if let Some(service) = children.owned::<Service>(Kind::Service, &service) {
        front.see_service(&service.metadata);
    }
    let name = entrance.name(&installation.identity);
    if let Some(wanted) = &entrance.ingress {
        match children.owned(Kind::Ingress, &name) {
            Some(ingress) => front.see_ingress(&ingress),
            None => front.class.clone_from(&wanted.class_name),
        }
    } else if let Some(route) = children.owned(Kind::HttpRoute, &name) {
        front.see_route(&route);
    }
    front
}
