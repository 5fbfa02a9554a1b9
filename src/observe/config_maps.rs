//! The `ConfigMaps` that pods read their environment from.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container},
};
use kube::{Api, Client};

use super::{
    container::ConfigMaps,
    freshness::{FRESH, FRESH_WHILE_FAILING},
    memory::Memory,
    workload::WorkloadState,
};
use crate::{runtime::cache::PerInstallation, validate::Identity};

/// Reads `ConfigMaps`, and remembers them.
#[derive(Default)]
pub(super) struct ConfigMapReader {
    known: PerInstallation<Known>,
}

/// The `ConfigMaps` of one installation.
#[derive(Clone)]
struct Known {
    /// What was asked for, also what could not be read.
    names: Vec<String>,
    maps: ConfigMaps,
}

impl ConfigMapReader {
    /// The `ConfigMaps` behind these Deployments. One that cannot be read is left out, so that its variables are not
    /// known; one that does not exist is empty. Pods read a changed one only at their next start, so it is read again
    /// soon only while pods are exchanged.
    pub(super) async fn read(
        &self,
        client: &Client,
        identity: &Identity,
        deployments: &[&Deployment],
    ) -> ConfigMaps {
        let names = names(deployments);
        if names.is_empty() {
            return ConfigMaps::new();
        }
        let settled = deployments.iter().all(|it| WorkloadState::from(*it).rolled_out());
        let fresh_for = if settled { FRESH } else { FRESH_WHILE_FAILING };
        let same_names = |known: &Known| (known.names == names).then_some(fresh_for);
        if let Some(known) = self.known.fresh(&identity.uid, same_names) {
            return known.maps;
        }
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &identity.namespace);
        let mut maps = ConfigMaps::new();
        for name in &names {
            match api.get_opt(name).await {
                Ok(map) => {
                    maps.insert(name.clone(), map.and_then(|map| map.data).unwrap_or_default());
                }
                Err(error) => {
                    tracing::debug!(namespace = identity.namespace, name, %error, "a ConfigMap could not be read");
                }
            }
        }
        let known = Known {
            names,
            maps: maps.clone(),
        };
        self.known.put(identity.uid.clone(), known);
        maps
    }
}

impl Memory for ConfigMapReader {
    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }
}

/// The names of the `ConfigMaps` that containers read variables from, each once.
fn names(deployments: &[&Deployment]) -> Vec<String> {
    let pods = deployments
        .iter()
        .filter_map(|deployment| deployment.spec.as_ref()?.template.spec.as_ref());
    let containers = pods.flat_map(|pods| pods.init_containers.iter().flatten().chain(&pods.containers));
    let mut names: Vec<String> = containers.flat_map(of_container).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn of_container(container: &Container) -> impl Iterator<Item = String> {
    let sources = container.env_from.iter().flatten();
    let whole = sources.filter_map(|source| Some(source.config_map_ref.as_ref()?.name.clone()));
    let variables = container.env.iter().flatten();
    let keys = variables.filter_map(|variable| {
        let source = variable.value_from.as_ref()?;
        Some(source.config_map_key_ref.as_ref()?.name.clone())
    });
    whole.chain(keys)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_name_is_listed_once() {
        let deployment: Deployment =
            serde_json::from_value(json!({ "spec": { "selector": {}, "template": { "spec": {
            "initContainers": [{ "name": "migrate", "envFrom": [{ "configMapRef": { "name": "shared" } }] }],
            "containers": [{
                "name": "api",
                "envFrom": [{ "configMapRef": { "name": "shared" } }, { "secretRef": { "name": "hidden" } }],
                "env": [
                    { "name": "A", "value": "b" },
                    { "name": "C", "valueFrom": { "configMapKeyRef": { "name": "keys", "key": "c" } } },
                ],
            }],
        } } } }))
            .unwrap();
        assert_eq!(names(&[&deployment, &deployment]), ["keys", "shared"]);
    }
}
