//! The `ConfigMaps` that pods read their environment from.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container},
};
use kube::{Api, Client};

use super::{
    container::ConfigMaps,
    freshness::{FRESH, FRESH_WHILE_FAILING},
    memory::Memory,
};
use crate::{api::object_name::is_object_name, runtime::cache::PerInstallation, validate::Identity};

/// `ConfigMaps` of one installation that are read: more than anybody has, and few enough for one pass. What the others
/// hold is as unknown as what cannot be read.
const READ: usize = 32;

/// Requests for them at once.
const AT_ONCE: usize = 4;

/// Bytes of their variables that are kept of one installation; those that come last by name are as unknown as above.
const KEPT: usize = 256 * 1024;

/// Reads `ConfigMaps`, and remembers them.
#[derive(Default)]
pub(super) struct ConfigMapReader {
    known: PerInstallation<Known>,
}

/// The `ConfigMaps` of one installation.
#[derive(Clone)]
struct Known {
    /// What was asked for, also what could not be read.
    names: BTreeSet<String>,
    maps: ConfigMaps,
}

impl ConfigMapReader {
    /// The `ConfigMaps` of these names, which Deployments read their environment from. One that cannot be read is left
    /// out, so that its variables are not known; one that does not exist is empty. Pods read a changed one only at their next start, so it is read again
    /// soon only while pods are exchanged.
    pub(super) async fn read(
        &self,
        client: &Client,
        identity: &Identity,
        names: BTreeSet<String>,
        settled: bool,
    ) -> ConfigMaps {
        if names.is_empty() {
            return ConfigMaps::new();
        }
        let fresh_for = if settled { FRESH } else { FRESH_WHILE_FAILING };
        let same_names = |known: &Known| (known.names == names).then_some(fresh_for);
        if let Some(known) = self.known.fresh(&identity.uid, same_names) {
            return known.maps;
        }
        let maps = read_all(client, &identity.namespace, &names).await;
        let known = Known { names, maps: maps.clone() };
        self.known.put(identity.uid.clone(), known);
        maps
    }
}

impl Memory for ConfigMapReader {
    fn remembers(&self) -> (&'static str, usize) {
        ("config_maps", self.known.count())
    }

    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }
}

/// The first of these `ConfigMaps`, by name.
async fn read_all(client: &Client, namespace: &str, names: &BTreeSet<String>) -> ConfigMaps {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let reading: Vec<_> = names.iter().take(READ).map(|name| read_one(api.clone(), name.clone())).collect();
    let mut answers = stream::iter(reading).buffered(AT_ONCE);
    let (mut maps, mut kept) = (ConfigMaps::new(), 0);
    while let Some(answer) = answers.next().await {
        let Some((name, data)) = answer else { continue };
        kept += data.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if kept > KEPT {
            break;
        }
        maps.insert(name, data);
    }
    maps
}

/// One, with its name; `None` where it cannot be read.
async fn read_one(api: Api<ConfigMap>, name: String) -> Option<(String, BTreeMap<String, String>)> {
    // Of a variable's source the API server checks only that there is a name: what can be none does not exist.
    if !is_object_name(&name) {
        return Some((name, BTreeMap::default()));
    }
    match api.get_opt(&name).await {
        Ok(map) => Some((name, map.and_then(|map| map.data).unwrap_or_default())),
        Err(error) => {
            tracing::debug!(name, %error, "a ConfigMap could not be read");
            None
        }
    }
}

/// The names of the `ConfigMaps` that the containers of a Deployment read variables from, each once.
pub(super) fn names(deployment: &Deployment) -> BTreeSet<String> {
    let pods = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers =
        pods.into_iter().flat_map(|pods| pods.init_containers.iter().flatten().chain(&pods.containers));
    containers.flat_map(of_container).collect()
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
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use http::{Request, Response};
    use kube::client::Body;
    use rstest::rstest;
    use serde_json::json;
    use tower::{BoxError, service_fn};

    use super::*;

    /// However many there are, and however large, only so many are asked for, a few at once, and only so much is kept.
    #[rstest]
    #[case::many(1_000, 10, 32, 32)]
    #[case::large(32, 100_000, 5, 2)]
    #[tokio::test(start_paused = true)]
    async fn config_maps_have_a_budget(
        #[case] names: usize,
        #[case] bytes: usize,
        #[case] most_asked: usize,
        #[case] read: usize,
    ) {
        let (asked, at_once, most_at_once) =
            <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let counted = (Arc::clone(&asked), Arc::clone(&at_once), Arc::clone(&most_at_once));
        let server = service_fn(move |_: Request<Body>| {
            let (asked, at_once, most_at_once) = counted.clone();
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                most_at_once.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                let map = json!({ "metadata": { "name": "a" }, "data": { "a": "x".repeat(bytes) } });
                Ok::<_, BoxError>(Response::new(Body::from(map.to_string().into_bytes())))
            }
        });
        let client = Client::new(server, "default");
        let names: BTreeSet<String> = (0..names).map(|number| format!("{number:04}")).collect();
        assert_eq!(read_all(&client, "prod", &names).await.len(), read);
        let asked = asked.load(Ordering::SeqCst);
        assert!(asked <= most_asked + AT_ONCE, "{asked} were asked for");
        assert_eq!(most_at_once.load(Ordering::SeqCst), AT_ONCE);
    }

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
        assert_eq!(names(&deployment), ["keys", "shared"].map(str::to_owned).into());
    }
}
