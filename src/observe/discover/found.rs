//! What an installation is, as if its owner had asked the operator for it. Pure.

use super::{
    select::Selected,
    specification::{Adoption, adoption},
};
use crate::{
    api::ProxySpec,
    flagsmith::{OLDEST_SUPPORTED, env},
    observe::{ConfigMaps, WorkloadState},
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
    /// What its owner says of the proxy in front.
    pub proxy: Option<ProxySpec>,
    /// The API's Deployment.
    pub api: Option<WorkloadState>,
    /// The task processor's.
    pub task_processor: Option<WorkloadState>,
    /// The frontend's.
    pub frontend: Option<WorkloadState>,
}

/// Puts together what an installation is. A release that nothing names is taken for the oldest that the operator
/// knows, so that no rule about newer releases speaks.
pub(crate) fn find(
    subject: &ObservedInstallation,
    selected: &Selected<'_>,
    config_maps: &ConfigMaps,
) -> Found {
    let state = |deployment: Option<&_>| deployment.map(|it| WorkloadState::new(it, config_maps));
    let (api, task_processor, frontend) =
        (state(selected.api), state(selected.task_processor), state(selected.frontend));
    let mut adoption = adoption(subject, selected, config_maps);
    let named =
        subject.release.or_else(|| api.as_ref()?.release).or_else(|| task_processor.as_ref()?.release);
    let release = named.unwrap_or(OLDEST_SUPPORTED);
    adoption.spec.version = Some(release.to_string());
    let mut installation = Installation::new(subject.identity.clone(), release, &adoption.spec, None, None);
    installation.generates_django_secret = false;
    if adoption.spec.database.is_none() {
        // Not known, or no key of a Secret; nothing that the operator would make.
        installation.database = Database::External {
            url: SecretKey { name: String::new(), key: env::DATABASE_URL.to_owned() },
            migration_url: None,
            task_processor_url: None,
            analytics_url: None,
            replica_urls: Vec::new(),
            authorities: None,
            parts: Vec::new(),
        };
    }
    installation.managed_by = managed_by(subject, selected);
    Found {
        installation,
        release_assumed: named.is_none(),
        adoption,
        proxy: subject.proxy.clone(),
        api,
        task_processor,
        frontend,
    }
}

fn managed_by(subject: &ObservedInstallation, selected: &Selected<'_>) -> ManagedBy {
    let namespace = subject.identity.namespace.clone();
    match &subject.selection {
        Selection::Release(release) => {
            ManagedBy::Helm { release: release.clone(), chart: selected.chart.clone(), namespace }
        }
        Selection::Components { .. } => ManagedBy::Manifests {
            namespace,
            deployments: [selected.api, selected.task_processor, selected.frontend]
                .map(|deployment| deployment.and_then(|it| it.metadata.name.clone())),
        },
    }
}
