//! Pods that the operator did not make and that migrate the same database: init containers of the official chart,
//! Jobs of a pipeline, a task processor that migrates when it starts.

use std::{future::ready, pin::pin, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::{Api, Client, api::ListParams};

use super::{looks::DueMigration, memory::Memory};
use crate::{
    flagsmith,
    model::{PodPhase, child::marks},
    runtime::{cache::PerInstallation, client::listed},
    validate::{Database, Installation, SecretKey},
};

/// The most pods that one look reads. A namespace with more of them that are not the operator's is no place where one
/// could be missed for long: the database's own sessions are looked at too.
const PODS: usize = 500;

/// Looks for such pods while a migration is due, and remembers what was seen.
#[derive(Debug, Default)]
pub(super) struct Migrators {
    known: PerInstallation<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    migration: DueMigration,
    pod: Option<String>,
}

impl Migrators {
    /// A pod that is not the operator's and migrates the same database. `migration` is unknown while the database is.
    pub(super) async fn look(
        &self,
        client: &Client,
        installation: &Installation,
        migration: Option<&DueMigration>,
    ) -> Option<String> {
        let uid = &installation.identity.uid;
        let is_external = matches!(installation.database, Database::External { .. });
        let Some(migration) = migration.filter(|migration| migration.due && is_external) else {
            // What is remembered would have the next pass come for it.
            self.known.forget(uid);
            return None;
        };
        let same = |known: &Known| (known.migration == *migration).then(|| migration.fresh_for());
        if let Some(known) = self.known.fresh(uid, same) {
            return known.pod;
        }
        let pod = running(client, installation).await;
        self.known.put(uid.clone(), Known { migration: migration.clone(), pod: pod.clone() });
        pod
    }
}

impl Memory for Migrators {
    fn remembers(&self) -> (&'static str, usize) {
        ("migrators", self.known.count())
    }

    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        self.known.fresh_until(uid, |known| known.migration.fresh_for())
    }
}

/// The first pod that migrates now or is about to, as `pod namespace/name (container …)`. `None` also when it could
/// not be asked: the look at the database's sessions is the other half of this.
async fn running(client: &Client, installation: &Installation) -> Option<String> {
    let namespace = &installation.identity.namespace;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default().labels(&format!("{}!={}", marks::MANAGED_BY, marks::OPERATOR));
    let secrets = [installation.database.url(), installation.database.migration_url()];
    let found = listed(api, parameters).take(PODS).try_filter_map(|pod: Pod| {
        let container = migrating(&pod, &secrets);
        let name = pod.metadata.name.unwrap_or_default();
        ready(Ok(container.map(|container| format!("pod {namespace}/{name} (container {container})"))))
    });
    pin!(found)
        .try_next()
        .await
        .inspect_err(|error| tracing::debug!(%error, "pods could not be listed"))
        .ok()?
}

/// The container of a pod that migrates the database of one of these Secrets, while it has not finished.
fn migrating(pod: &Pod, secrets: &[&SecretKey]) -> Option<String> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref());
    let phase = status.and_then(|status| status.phase.as_deref());
    if phase.is_some_and(|phase| PodPhase::named(phase).has_ended()) {
        return None;
    }
    let of = |statuses: Option<&Vec<ContainerStatus>>, name: &str| {
        statuses.into_iter().flatten().find(|it| it.name == name).cloned()
    };
    let initial = spec.init_containers.iter().flatten().map(|container| {
        let state = of(status.and_then(|status| status.init_container_statuses.as_ref()), &container.name);
        (container, state)
    });
    let main = spec.containers.iter().map(|container| {
        let state = of(status.and_then(|status| status.container_statuses.as_ref()), &container.name);
        (container, state)
    });
    initial
        .chain(main)
        .find(|(container, state)| {
            flagsmith::migrates(words(container))
                && secrets.iter().any(|secret| reads(container, secret))
                && !finished(state.as_ref())
        })
        .map(|(container, _)| container.name.clone())
}

fn words(container: &Container) -> impl Iterator<Item = &str> {
    container.command.iter().chain(&container.args).flatten().flat_map(|text| text.split_whitespace())
}

fn reads(container: &Container, secret: &SecretKey) -> bool {
    let by_key = container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref()?.secret_key_ref.as_ref())
        .any(|reference| reference.name == secret.name && reference.key == secret.key);
    let whole = container
        .env_from
        .iter()
        .flatten()
        .filter_map(|source| source.secret_ref.as_ref())
        .any(|reference| reference.name == secret.name);
    by_key || whole
}

/// A container that serves has finished migrating: it does so before it listens.
fn finished(state: Option<&ContainerStatus>) -> bool {
    let ended = state
        .and_then(|state| state.state.as_ref()?.terminated.as_ref())
        .is_some_and(|terminated| terminated.exit_code == 0);
    ended || state.is_some_and(|state| state.ready)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::FlagsmithDeploymentStatus,
        fixtures,
        observe::secrets::{
            credentials::Credentials,
            state::{SecretState, Secrets},
        },
    };

    /// A namespace without pods.
    fn empty() -> Client {
        let list = json!({ "metadata": {}, "items": [] }).to_string().into_bytes();
        let answer = move |_: Request<Body>| {
            let list = list.clone();
            async move { Ok::<_, Infallible>(Response::new(Body::from(list))) }
        };
        Client::new(tower::service_fn(answer), "prod")
    }

    #[tokio::test(start_paused = true)]
    async fn no_pass_comes_for_a_migration_that_is_applied_or_not_known() {
        let installation = fixtures::installation(&fixtures::minimal());
        let database = SecretState::Present(fixtures::database());
        let credentials = Credentials {
            secrets: Secrets {
                database: database.clone(),
                migration_database: database,
                ..Secrets::unread()
            },
            url: None,
            migration_url: None,
            task_processor_url: None,
        };
        let mut migration = DueMigration::of(
            &installation,
            &credentials,
            &FlagsmithDeploymentStatus::default(),
            [None, None],
        )
        .unwrap();
        let (migrators, uid, now) = (Migrators::default(), &installation.identity.uid, Timestamp::UNIX_EPOCH);
        assert_eq!(migrators.look(&empty(), &installation, Some(&migration)).await, None);
        assert_eq!(migrators.next_look(uid, now), Some(migration.fresh_for()));
        migrators.look(&empty(), &installation, None).await;
        assert_eq!(migrators.next_look(uid, now), None, "the Secret of its URL cannot be read any more");
        migrators.look(&empty(), &installation, Some(&migration)).await;
        migration.due = false;
        migrators.look(&empty(), &installation, Some(&migration)).await;
        assert_eq!(migrators.next_look(uid, now), None);
    }

    fn pod(command: &str, key: &str, status: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "api-0" },
            "spec": { "containers": [{ "name": "api" }], "initContainers": [{
                "name": "migrate-db",
                "args": command.split(' ').collect::<Vec<_>>(),
                "env": [{ "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": "db", "key": key } } }],
            }] },
            "status": status,
        }))
        .unwrap()
    }

    fn init(state: &Value) -> Value {
        json!({ "phase": "Pending", "initContainerStatuses": [{
            "name": "migrate-db", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": state,
        }] })
    }

    #[rstest]
    #[case("migrate", "DATABASE_URL", init(&json!({ "running": {} })), true)]
    #[case("run-task-processor", "DATABASE_URL", json!({ "phase": "Pending" }), true)]
    #[case("python manage.py migrate", "DATABASE_URL", init(&json!({ "waiting": {} })), true)]
    #[case("migrate", "DATABASE_URL", init(&json!({ "terminated": { "exitCode": 0 } })), false)]
    #[case("migrate", "DATABASE_URL", json!({ "phase": "Failed" }), false)]
    #[case("migrate", "OTHER_URL", init(&json!({ "running": {} })), false)]
    #[case("serve", "DATABASE_URL", init(&json!({ "running": {} })), false)]
    fn finds_who_migrates(
        #[case] command: &str,
        #[case] key: &str,
        #[case] status: Value,
        #[case] expected: bool,
    ) {
        let secret = SecretKey { name: "db".to_owned(), key: "DATABASE_URL".to_owned() };
        let found = migrating(&pod(command, key, &status), &[&secret]);
        assert_eq!(found.as_deref(), expected.then_some("migrate-db"));
    }
}
