//! An installation that somebody else made: which objects it consists of, and what it is set to. The core is pure:
//! objects in, the same [`Installation`] and [`Observation`] out as for one that the operator made.
//!
//! [`Installation`]: crate::validate::Installation
//! [`Observation`]: crate::observe::Observation

mod credentials;
mod migrators;
mod namespaces;
mod objects;
mod select;
mod settings;
mod specification;
#[cfg(test)]
mod tests;

pub(super) use credentials::{Sources, read};
pub use namespaces::Namespaces;
pub use objects::Objects;
pub use select::Selected;
pub use specification::{Adoption, adoption};

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    ConfigMaps, DatabaseProbe, Observation, Secrets, WorkloadState,
    database::Queues,
    exposure::{ingress_state, route_state},
};
use crate::{
    api::FlagsmithDeploymentStatus,
    flagsmith::{OLDEST_SUPPORTED, env},
    validate::{Database, Installation, ManagedBy, ObservedInstallation, SecretKey, Selection},
};

/// What was found of an installation, and what it would be as a specification.
#[derive(Clone, Debug)]
pub struct Found {
    /// As if its owner had asked the operator for it.
    pub installation: Installation,
    /// Nothing names the release.
    pub release_assumed: bool,
    /// The specification that says so, and what it cannot say.
    pub adoption: Adoption,
    /// The API's Deployment.
    pub api: Option<WorkloadState>,
    /// The task processor's.
    pub task_processor: Option<WorkloadState>,
    /// The frontend's.
    pub frontend: Option<WorkloadState>,
}

/// Puts together what an installation is. A release that nothing names is taken for the oldest that the operator
/// knows, so that no rule about newer releases speaks.
#[must_use]
pub fn find(subject: &ObservedInstallation, selected: &Selected<'_>, config_maps: &ConfigMaps) -> Found {
    let state = |deployment: Option<&_>| deployment.map(|it| WorkloadState::new(it, config_maps));
    let (api, task_processor, frontend) = (
        state(selected.api),
        state(selected.task_processor),
        state(selected.frontend),
    );
    let mut adoption = adoption(subject, selected, config_maps);
    let named = subject
        .release
        .or_else(|| api.as_ref()?.release)
        .or_else(|| task_processor.as_ref()?.release);
    let release = named.unwrap_or(OLDEST_SUPPORTED);
    adoption.spec.version = Some(release.to_string());
    let mut installation = Installation::new(subject.identity.clone(), release, &adoption.spec, None, None);
    installation.generates_django_secret = false;
    if adoption.spec.database.is_none() {
        // Not known, or no key of a Secret; nothing that the operator would make.
        installation.database = Database::External {
            url: SecretKey {
                name: String::new(),
                key: env::DATABASE_URL.to_owned(),
            },
            migration_url: None,
            task_processor_url: None,
            analytics_url: None,
            replica_urls: Vec::new(),
            authorities: None,
        };
    }
    installation.managed_by = tool(subject, selected);
    Found {
        installation,
        release_assumed: named.is_none(),
        adoption,
        api,
        task_processor,
        frontend,
    }
}

/// What was seen of the objects; Secrets and database are looked at elsewhere.
#[must_use]
pub fn assemble(
    found: &Found,
    selected: &Selected<'_>,
    objects: &Objects,
    previous: FlagsmithDeploymentStatus,
    now: Timestamp,
) -> Observation {
    let ingress = selected.ingresses.first().map(|ingress| ingress_state(ingress));
    let route = selected.routes.first().map(route_state);
    Observation {
        now,
        previous,
        api: found.api.clone(),
        task_processor: found.task_processor.clone(),
        frontend: found.frontend.clone(),
        embedded_database: None,
        jobs: selected.jobs.iter().map(|job| migrators::job(job)).collect(),
        external_migration: None,
        pods: selected.pods(objects),
        pod_logs: crate::observe::PodLogFindings::default(),
        secrets: Secrets::unread(),
        database: DatabaseProbe::NotProbed,
        queues: Queues::default(),
        preflight: None,
        backups: Vec::new(),
        external_autoscalers: selected
            .autoscalers
            .iter()
            .filter_map(|it| select::targets(it))
            .collect(),
        migrators: migrators::runs(found, selected, objects),
        release_assumed: found.release_assumed,
        services: objects
            .services
            .iter()
            .map(|service| service.name_any())
            .collect(),
        releases: selected.releases.clone(),
        http_route_api: objects.routes.is_some(),
        exposure: ingress.or(route),
        front: selected.front(objects),
        probe_kills: Vec::new(),
        busy: None,
    }
}

fn tool(subject: &ObservedInstallation, selected: &Selected<'_>) -> ManagedBy {
    let namespace = subject.identity.namespace.clone();
    match &subject.selection {
        Selection::Release(release) => ManagedBy::Helm {
            release: release.clone(),
            chart: selected.chart.clone(),
            namespace,
        },
        Selection::Components { .. } => ManagedBy::Manifests {
            namespace,
            deployments: [selected.api, selected.task_processor, selected.frontend]
                .map(|deployment| deployment.and_then(|it| it.metadata.name.clone())),
        },
    }
}
