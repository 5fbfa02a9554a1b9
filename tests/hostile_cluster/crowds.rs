//! More of everything than anybody needs: objects, and connections to the operator itself.

use std::{net::SocketAddr, time::Duration};

use flagsmith_operator::model::child::marks::{MANAGED_BY, OPERATOR};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job};
use kube::{Client, api::PostParams};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    machine::DATABASES,
    siege::survives,
    support::{NAME, SOON, client},
    tenant::{Tenant, codes},
};

/// Objects that are posted at once.
const AT_ONCE: usize = 8;

/// How long the operator has for what it watches.
const SEEN: Duration = Duration::from_secs(10);

/// Bytes of an object that is about as large as the API server stores (1.5 MiB), and how many of these.
const LARGE: usize = 1_200_000;
const LARGE_OBJECTS: usize = 200;

/// Connections to each port, how long they are held, and how often they are opened again.
const CONNECTIONS: usize = 200;
const HELD: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;

/// A connection that the operator does not take within this time is one that it has no place for.
const CONNECTED: Duration = Duration::from_millis(50);

/// A namespace full of Jobs, none of which is Flagsmith's, and an installation that is observed there.
#[test]
#[ignore = "takes minutes; part of `make test-hostile`"]
fn of_jobs() {
    survives("5,000 Jobs", |target| async move {
        let tenant = Tenant::new("jobs").await;
        let environment: Vec<Value> =
            (0..30).map(|number| json!({ "name": format!("V{number}"), "value": "x".repeat(40) })).collect();
        let job = |number: usize| {
            json!({
                "metadata": { "name": format!("job-{number}"), "annotations": { "big": "x".repeat(2048) } },
                "spec": { "suspend": true, "template": { "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "x", "env": environment }],
                } } },
            })
        };
        create::<Job>(&target.client, &tenant, (0..5_000).map(job)).await;
        tenant
            .sandbox
            .create::<flagsmith_operator::api::FlagsmithDeployment>(json!({
                "metadata": { "name": NAME }, "spec": { "mode": "Observed", "observe": { "release": NAME } },
            }))
            .await;
        tenant
            .until(NAME, SOON, "looked at", |it| codes(it).iter().any(|it| it == "InstallationNotFound"))
            .await;
        sleep(SEEN).await;
        tenant.end().await;
    });
}

/// Autoscalers of others, as large as they can be.
#[test]
#[ignore = "takes minutes; part of `make test-hostile`"]
fn of_autoscalers() {
    survives("500 large autoscalers", |target| async move {
        let tenant = Tenant::new("autoscalers").await;
        let autoscaler = |number: usize| {
            json!({
                "metadata": { "name": format!("hpa-{number}"), "annotations": { "big": "x".repeat(200_000) } },
                "spec": { "maxReplicas": 1, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "none" } },
            })
        };
        create::<HorizontalPodAutoscaler>(&target.client, &tenant, (0..500).map(autoscaler)).await;
        sleep(SEEN).await;
        tenant.end().await;
    });
}

/// What is there before the operator starts, with its labels, and as large as the API server stores: all of it is listed.
#[test]
#[ignore = "takes minutes; part of `make test-hostile`"]
fn of_large_objects_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (client, tenant) = runtime.block_on(async { (client().await, Tenant::new("large").await) });
    let metadata =
        |number: usize| json!({ "name": format!("large-{number}"), "labels": { MANAGED_BY: OPERATOR } });
    let pod = json!({ "restartPolicy": "Never", "containers": [{
        "name": "main", "image": "x", "env": [{ "name": "V", "value": "x".repeat(LARGE) }],
    }] });
    let job = |number| json!({ "metadata": metadata(number), "spec": { "suspend": true, "template": { "spec": pod } } });
    runtime.block_on(create::<Job>(&client, &tenant, (0..LARGE_OBJECTS).map(job)));
    survives("large objects at its start", |_| sleep(SEEN));
    runtime.block_on(tenant.end());
}

/// Whoever can reach a port of the operator's keeps connections open and says nothing. He may take Prometheus' place, but
/// not the kubelet's.
#[test]
fn of_connections() {
    survives("idle connections", |target| async move {
        for _ in 0..ROUNDS {
            let mut idle: Vec<TcpStream> = Vec::new();
            for address in &target.served {
                for _ in 0..CONNECTIONS {
                    idle.extend(connect(*address).await);
                }
            }
            println!("{} idle connections", idle.len());
            sleep(HELD).await;
        }
    });
}

/// From another address than the kubelet's.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(DATABASES, 0)).unwrap();
    timeout(CONNECTED, socket.connect(address)).await.ok()?.ok()
}

async fn create<T>(client: &Client, tenant: &Tenant, objects: impl Iterator<Item = Value>)
where
    T: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug,
{
    let api = kube::Api::<T>::namespaced(client.clone(), &tenant.sandbox.namespace);
    stream::iter(objects)
        .for_each_concurrent(AT_ONCE, |body| {
            let api = api.clone();
            async move {
                let object: T = serde_json::from_value(body).unwrap();
                api.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
}
