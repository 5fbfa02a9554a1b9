//! The fifth step: the objects as they should be. Pure; one file for each kind of child.

mod api;
mod autoscaler;
mod backup;
mod child;
mod container;
mod database;
mod deployment;
mod disruption_budget;
mod edge_proxy;
mod frontend;
mod http_route;
mod ingress;
mod job;
mod pod;
mod pod_monitor;
mod pull;
mod restore;
mod route;
mod server;
mod service;
mod service_account;
mod task_processor;
#[cfg(test)]
mod tests;

pub use database::{EMBEDDED_PASSWORD_KEY, EMBEDDED_ROLE, PORT as EMBEDDED_PORT};

use crate::{
    decide::{EdgeProxy, Plan},
    model::{Component, child::Child},
    validate::{Database, Installation},
};

/// Builds every object of an installation, in the order in which they are applied.
#[must_use]
pub fn build(installation: &Installation, plan: &Plan) -> Vec<Child> {
    let mut children = vec![service::api(installation, plan), service::task_processor(installation)];
    if installation.service_account.is_none() {
        children.push(service_account::build(installation));
    }
    if let Database::Embedded { settings, url } = &installation.database {
        children.extend(database::build(installation, settings, url));
    }
    if let Some(migrate) = &plan.migrate {
        children.push(job::build(installation, migrate));
    }
    if let Some(pull) = &plan.pull {
        children.push(pull::build(installation, pull));
    }
    if let Some(backup) = &plan.backup {
        children.extend(backup::build(installation, backup));
    }
    if let Some(workload) = &plan.task_processor {
        children.push(task_processor::build(installation, plan, workload));
    }
    if let Some(workload) = &plan.api {
        children.push(api::build(installation, plan, workload));
        let budget = &installation.api.pod_disruption_budget;
        children.extend(disruption_budget::build(installation, Component::Api, budget));
        children.extend(autoscaler::build(installation, Component::Api, &installation.api_replicas()));
    }
    if installation.frontend.enabled {
        children.push(service::frontend(installation, plan));
        if let Some(workload) = &plan.frontend {
            children.push(frontend::build(installation, plan, workload));
            let budget = &installation.frontend.pod_disruption_budget;
            children.extend(disruption_budget::build(installation, Component::Frontend, budget));
            children.extend(autoscaler::build(
                installation,
                Component::Frontend,
                &installation.frontend_replicas(),
            ));
        }
    }
    if let (Some(spec), Some(EdgeProxy { replicas })) = (&installation.edge_proxy, plan.edge_proxy) {
        children.push(service::edge_proxy(installation, plan, spec));
        children.push(edge_proxy::build(installation, plan, spec, replicas));
        let budget = &spec.pod_disruption_budget;
        children.extend(disruption_budget::build(installation, Component::EdgeProxy, budget));
        let replicas = installation.edge_proxy_replicas(spec);
        children.extend(autoscaler::build(installation, Component::EdgeProxy, &replicas));
    }
    let entrances = [
        (&installation.exposure, &plan.front),
        (&installation.api_exposure, &plan.api_front),
        (&installation.edge_exposure, &plan.edge_front),
    ];
    for (entrance, front) in entrances {
        let Some(entrance) = entrance else { continue };
        children.extend(ingress::build(installation, plan, entrance, front));
        if plan.http_route {
            children.extend(http_route::build(installation, plan, entrance, front));
        }
    }
    if plan.pod_monitor {
        children.extend(pod_monitor::build(installation));
    }
    children.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    children
}
