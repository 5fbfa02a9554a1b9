//! What cannot share a cluster with other tests: definitions that change for everybody, and an API server that is
//! away. Each test here has a cluster of its own, made with `testbed` from the PATH.

use std::time::Duration;

use flagsmith_operator::{
    api::{self, FlagsmithDeployment},
    controller::admin::{Addresses, Admin, Protection, Sources},
    runtime::heartbeat::Heartbeat,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::support::{Cluster, Network, Operator, SOON, Sandbox, condition, converged, install_crd, run};

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(60);

/// How soon an operator looks whether an optional kind has appeared, and the pass after that.
const DISCOVERED: Duration = Duration::from_mins(2);

/// Kinds that are watched where there is no optional one.
const KINDS: usize = 10;

async fn start(cluster: &Cluster, sandbox: &Sandbox) -> Operator {
    let namespaces = vec![sandbox.namespace.clone()];
    Operator::start_with(cluster.config().await, namespaces, Network::default(), None)
}

#[test]
fn an_operator_without_its_definition_waits_and_ends_soon() {
    run(async {
        let cluster = Cluster::up("definition");
        let sandbox = Sandbox::of(Client::try_from(cluster.config().await).unwrap(), "early").await;
        let early = start(&cluster, &sandbox).await;
        sleep(Duration::from_secs(8)).await;
        early.stop().await;

        let operator = start(&cluster, &sandbox).await;
        sleep(Duration::from_secs(2)).await;
        install_crd(sandbox.client.clone()).await;
        sandbox.install(json!({})).await;
        sandbox.ready().await;

        unparsable(&sandbox).await;
        http_routes(&cluster, &sandbox).await;
        pod_monitors(&cluster, &sandbox).await;
        operator.stop().await;
    });
}

/// An object that was stored before today's schema is reported on, and others go on.
async fn unparsable(sandbox: &Sandbox) {
    let definitions: Api<CustomResourceDefinition> = Api::all(sandbox.client.clone());
    let mut lax = api::crd();
    let name = lax.name_any();
    let schema = lax.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
    let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
    *spec = serde_json::from_value(json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }))
        .unwrap();
    let relax = PatchParams::apply("tests").force();
    definitions.patch(&name, &relax, &Patch::Apply(&lax)).await.unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "operator.flagsmith.com",
        "v1alpha1",
        "FlagsmithDeployment",
    ));
    let objects: Api<DynamicObject> =
        Api::namespaced_with(sandbox.client.clone(), &sandbox.namespace, &resource);
    let broken: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": { "name": "broken" },
        "spec": { "version": ["2.265.0"], "database": "db" },
    }))
    .unwrap();
    let end = Instant::now() + SOON;
    // The API server takes a moment to use the new schema.
    while let Err(error) = objects.create(&PostParams::default(), &broken).await {
        assert!(Instant::now() < end, "{error}");
        sleep(Duration::from_millis(200)).await;
    }
    loop {
        let seen = objects.get("broken").await.unwrap();
        let ready = seen.data["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|it| it["type"] == "Ready")
            .cloned()
            .unwrap_or_default();
        if ready["status"] == "False" && ready["reason"] == "InvalidSpec" {
            break;
        }
        assert!(Instant::now() < end, "not reported: {:?}", seen.data["status"]);
        sleep(Duration::from_millis(200)).await;
    }
    // Another one goes on beside it.
    sandbox.patch(json!({ "spec": { "requestTimeoutSeconds": 44 } })).await;
    sandbox.ready().await;
    objects.delete("broken", &kube::api::DeleteParams::default()).await.unwrap();
    definitions.patch(&name, &relax, &Patch::Apply(&api::crd())).await.unwrap();
}

/// An HTTPRoute is made once the cluster has that API.
async fn http_routes(cluster: &Cluster, sandbox: &Sandbox) {
    let exposure =
        json!({ "hosts": ["flags.example.com"], "httpRoute": { "parentRefs": [{ "name": "public" }] } });
    sandbox.patch(json!({ "spec": { "exposure": exposure } })).await;
    sandbox
        .until(SOON, "waiting for the Gateway API", |it| {
            it.status
                .as_ref()
                .is_some_and(|status| status.diagnoses.iter().any(|it| it.code == "HttpRouteApiMissing"))
        })
        .await;
    cluster.gateway_api();
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
    let routes: Api<DynamicObject> =
        Api::namespaced_with(sandbox.client.clone(), &sandbox.namespace, &resource);
    let made = timeout(DISCOVERED, async {
        while !routes.get_opt("flagsmith").await.is_ok_and(|route| route.is_some()) {
            sleep(Duration::from_millis(500)).await;
        }
    });
    made.await.expect("the HTTPRoute is made soon after its API has appeared");
    sandbox
        .until(SOON, "without the diagnosis", |it| {
            condition(it, "Ready").0 == "True"
                && it
                    .status
                    .as_ref()
                    // No Gateway answers here, so that nobody knows the proxy stays.
                    .is_some_and(|status| status.diagnoses.iter().all(|it| it.code == "ProxyNotChecked"))
        })
        .await;
}

/// Nothing is worse for a PodMonitor that cannot be made; it is made once the cluster has that API, and goes when it is not
/// wanted any more.
async fn pod_monitors(cluster: &Cluster, sandbox: &Sandbox) {
    let monitor = json!({ "interval": "1m", "labels": { "release": "prometheus" } });
    sandbox.patch(json!({ "spec": { "monitoring": { "podMonitor": monitor } } })).await;
    let said = |it: &FlagsmithDeployment| {
        it.status.as_ref().is_some_and(|status| {
            status.diagnoses.iter().any(|it| it.code == "MetricsNotCollected" && it.severity == "Info")
        })
    };
    sandbox
        .until(SOON, "ready without a PodMonitor", |it| {
            said(it) && condition(it, "Ready").0 == "True" && condition(it, "Stalled").0.is_empty()
        })
        .await;
    cluster.pod_monitors();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PodMonitor"));
    let monitors: Api<DynamicObject> =
        Api::namespaced_with(sandbox.client.clone(), &sandbox.namespace, &resource);
    let exists = async |wanted: bool| {
        while monitors.get_opt("flagsmith").await.is_ok_and(|monitor| monitor.is_some()) != wanted {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(DISCOVERED, exists(true)).await.expect("it is made soon after its API has appeared");
    let made = monitors.get("flagsmith").await.unwrap();
    assert_eq!(made.labels().get("release").map(String::as_str), Some("prometheus"));
    assert_eq!(made.data["spec"]["podMetricsEndpoints"][0]["interval"], "1m");
    sandbox.until(SOON, "without the diagnosis", |it| !said(it)).await;
    sandbox.patch(json!({ "spec": { "monitoring": null } })).await;
    timeout(SOON, exists(false)).await.expect("it goes with the field");
}

#[test]
fn an_api_server_that_is_away_for_a_minute_is_survived() {
    run(async {
        let cluster = Cluster::up("outage");
        let client = Client::try_from(cluster.config().await).unwrap();
        install_crd(client.clone()).await;
        let sandbox = Sandbox::of(client, "outage").await;
        let operator = start(&cluster, &sandbox).await;
        let (heartbeat, ended) = (Heartbeat::new(), CancellationToken::new());
        let sources = Sources {
            heartbeat: heartbeat.clone(),
            readiness: operator.readiness.clone(),
            metrics: operator.metrics.clone(),
        };
        let anywhere = ([127, 0, 0, 1], 0).into();
        let addresses = Addresses { probes: anywhere, metrics: anywhere };
        let admin = Admin::bind(addresses, sources, Protection::default()).unwrap();
        let address = admin.addresses().probes;
        tokio::spawn(admin.run(ended.clone()));
        tokio::spawn(heartbeat.run(ended.clone()));
        sandbox.install(json!({})).await;
        sandbox.ready().await;

        operator.network.clear();
        cluster.testbed(&["stop-apiserver"]);
        let end = Instant::now() + AWAY;
        let late = start(&cluster, &sandbox).await;
        while Instant::now() < end {
            assert!(operator.runs());
            assert!(livez(address).await.starts_with("HTTP/1.1 200"));
            sleep(Duration::from_secs(5)).await;
        }
        // One that began meanwhile ends all the same.
        late.stop().await;
        let attempts = operator.network.count(|_| true);
        cluster.testbed(&["start-apiserver"]);
        operator.network.clear();
        let object: FlagsmithDeployment = loop {
            let patch = Patch::Merge(json!({ "spec": { "requestTimeoutSeconds": 77 } }));
            match sandbox.api().patch("flagsmith", &PatchParams::default(), &patch).await {
                Ok(object) => break object,
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        };
        let converged = sandbox
            .until(2 * SOON, "converged after the outage", |it| {
                converged(it) && it.metadata.generation >= object.metadata.generation
            })
            .await;
        assert_eq!(converged.status.unwrap().timeouts.unwrap().request, Some(77));
        let lists = operator.network.count(crate::support::Call::is_list);
        println!("{attempts} attempts while it was away, {lists} lists after it was back");
        // Each watch tries again by itself, with pauses: no storm while nobody answers, and at most one list
        // that fails and one that succeeds for each kind afterwards.
        assert!(attempts < 40 * KINDS, "{attempts} attempts");
        assert!(lists <= 2 * KINDS, "{lists} lists");
        ended.cancel();
        operator.stop().await;
    });
}

async fn livez(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
