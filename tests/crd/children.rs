//! Every object of an installation is accepted by a real API server, without an unknown field.

use std::path::PathBuf;

use flagsmith_operator::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus, MigrationResult, MigrationStatus},
    decide::decide,
    model::child::Kind,
    observe::{
        DatabaseProbe, FrontSeen, Look, Observation, PodLogFindings, SecretState, Secrets, database::Queues,
    },
    postgres::DatabaseIdentity,
    resources::build,
    validate::{Installation, MigrationKey, validate},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
    core::DynamicObject,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{MANAGER, client, install, object, source, spec};

fn installation(spec: &Value) -> Installation {
    let object = serde_json::to_value(object("flagsmith", spec)).unwrap();
    validate(&resource(object)).unwrap().managed().unwrap()
}

/// As the API server would serve it.
fn resource(mut object: Value) -> FlagsmithDeployment {
    object["metadata"]["namespace"] = json!("default");
    object["metadata"]["uid"] = json!("5ad6ee1c-6a8f-4f86-9d1a-7a0a1b9c0e51");
    serde_json::from_value(object).unwrap()
}

/// A namespace with the Secrets and nothing else.
fn observation(database: &DatabaseIdentity) -> Observation {
    Observation {
        now: jiff::Timestamp::UNIX_EPOCH,
        previous: FlagsmithDeploymentStatus::default(),
        api: None,
        task_processor: None,
        frontend: None,
        edge_proxy: None,
        embedded_database: None,
        jobs: Vec::new(),
        migration_lock: Some("5f0c".to_owned()),
        external_migration: None,
        look: Look::Fresh,
        pods: Vec::new(),
        pod_logs: PodLogFindings::default(),
        secrets: Secrets {
            database: SecretState::Present(database.clone()),
            task_processor_database: None,
            urls: flagsmith_operator::observe::KeptUrls::default(),
            missing_parts: Vec::new(),
            of_processor: None,
            migration_database: SecretState::Present(database.clone()),
            django: SecretState::Present(()),
            hash: Some("5ec7e7".to_owned()),
            migration_hash: Some("other".to_owned()),
        },
        queues: Queues::default(),
        database: DatabaseProbe::NotProbed,
        preflight: None,
        migration_database: None,
        backups: Vec::new(),
        pulls: Vec::new(),
        external_autoscalers: std::collections::BTreeSet::new(),
        migrators: Vec::new(),
        release_assumed: false,
        services: Vec::new(),
        releases: Vec::new(),
        http_route_api: true,
        pod_monitor_api: true,
        exposure: None,
        front: FrontSeen::default(),
        api_exposure: None,
        api_front: FrontSeen::default(),
        edge_exposure: None,
        edge_front: FrontSeen::default(),
        probe_kills: Vec::new(),
        busy: None,
    }
}

#[rstest]
#[case(json!({}))]
#[case(json!({"database": {"embedded": {"storageClassName": "fast"}}, "frontend": {"enabled": false}}))]
#[case(json!({
    "requestTimeoutSeconds": 3600,
    "images": {"api": "registry.example.com:5000/api", "pullSecrets": [{"name": "registry"}]},
    "database": {"urlFrom": source("db"), "migrationUrlFrom": source("owner"), "analyticsUrlFrom": source("a"), "taskProcessorUrlFrom": source("queue"), "replicaUrlsFrom": [source("r")]},
    "django": {"allowedHosts": [".example.com"]},
    "env": [{"name": "LOG_LEVEL", "value": "INFO"}],
    "envFrom": [{"secretRef": {"name": "shared"}}],
    "api": {
        "autoscaling": {"maxReplicas": 4, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}}},
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
        "pod": {
            "volumes": [{"name": "ca", "secret": {"secretName": "ca"}}], "labels": {"team": "flags"}, "nodeSelector": {"a": "b"},
            "schedulerName": "own", "runtimeClassName": "gvisor", "serviceAccountName": "api", "dnsPolicy": "None",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}], "dnsConfig": {"nameservers": ["10.0.0.2"]},
            "shareProcessNamespace": true,
            "extraContainers": [{"name": "statsd", "image": "statsd:1", "ports": [{"containerPort": 9102}]}],
            "initContainers": [{"name": "wait", "image": "wait:1", "volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}],
        },
    },
    "migrations": {"pod": {"initContainers": [{"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}]}},
    "exposure": {"hosts": ["flags.example.com", "*.example.com"], "ingress": {"className": "nginx", "tls": [{"hosts": ["flags.example.com"], "secretName": "tls"}]}},
    "serviceAccountName": "workload-identity",
}))]
#[tokio::test]
async fn are_accepted(#[case] changes: Value) {
    let client = client().await;
    for body in standard(&installation(&spec(&changes))) {
        post(&client, &body).await;
    }
}

/// What only the operator refuses, and what it makes of each sample; `tests/chart/check` posts the samples themselves.
#[rstest]
#[tokio::test]
async fn of_each_sample_are_accepted(#[files("deploy/flagsmith*.yaml")] file: PathBuf) {
    let client = client().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let mut samples = 0;
    for document in text.split("\n---\n") {
        let sample: Value = serde_saphyr::from_str(document).unwrap();
        if sample["kind"] != "FlagsmithDeployment" {
            continue;
        }
        samples += 1;
        let Some(installation) = validate(&resource(sample)).unwrap().managed() else {
            continue;
        };
        for body in standard(&installation) {
            post(&client, &body).await;
        }
    }
    assert_eq!(samples, 1, "{}", file.display());
}

#[tokio::test]
async fn a_route_is_accepted_by_the_gateway_api() {
    let exposure = json!({"hosts": ["flags.example.com"], "httpRoute": {"parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}]}});
    let spec = spec(&json!({"exposure": exposure, "requestTimeoutSeconds": 3600}));
    is_accepted_by(route_definition(), &objects(&installation(&spec))).await;
}

/// By a definition of the fields that the operator writes, as the Prometheus operator 0.85 has them.
#[tokio::test]
async fn a_pod_monitor_is_accepted_by_its_definition() {
    let definition = serde_saphyr::from_str(include_str!("../fixtures/podmonitors.yaml")).unwrap();
    let monitor =
        json!({"interval": "1m", "labels": {"release": "prometheus"}, "annotations": {"a.b/c": "d"}});
    let spec = spec(&json!({"monitoring": {"podMonitor": monitor}}));
    is_accepted_by(definition, &objects(&installation(&spec))).await;
}

/// Posts the one object of the kind that is defined, and removes the definition: other tests decide for themselves what
/// their cluster has.
async fn is_accepted_by(definition: Value, objects: &[Value]) {
    let client = client().await;
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    let kind = definition["spec"]["names"]["kind"].clone();
    install(client.clone(), definition).await;
    let defined: Vec<_> = objects.iter().filter(|body| body["kind"] == kind).collect();
    assert_eq!(defined.len(), 1);
    let answer = try_post(&client, defined[0]).await;
    let definitions: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(client);
    definitions.delete(&name, &DeleteParams::default()).await.unwrap();
    answer.unwrap();
}

/// Those of kinds that every cluster has.
fn standard(installation: &Installation) -> Vec<Value> {
    let optional = Kind::OPTIONAL.map(Kind::as_str);
    let is_standard = |body: &Value| body["kind"].as_str().is_some_and(|kind| !optional.contains(&kind));
    objects(installation).into_iter().filter(is_standard).collect()
}

/// The objects of a fresh installation with its Job.
fn objects(installation: &Installation) -> Vec<Value> {
    let database = DatabaseIdentity { host: "db".to_owned(), port: 5432, name: "flags".to_owned() };
    let mut observation = observation(&database);
    let migrate = decide(installation, &observation, &[]).migrate;
    assert!(migrate.is_some());
    observation.previous.migration = Some(MigrationStatus {
        key: Some(MigrationKey::migrate(installation, installation.release, &database).to_string()),
        result: MigrationResult::Applied,
        ..MigrationStatus::default()
    });
    let mut plan = decide(installation, &observation, &[]);
    plan.migrate = migrate;
    build(installation, &plan).into_iter().map(|child| child.body).collect()
}

async fn post(client: &Client, body: &Value) {
    if let Err(error) = try_post(client, body).await {
        panic!("{} {}: {error}", body["kind"], body["metadata"]["name"]);
    }
}

async fn try_post(client: &Client, body: &Value) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(body.clone()).unwrap();
    let gvk = kube::core::GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
    let resource = kube::core::ApiResource::from_gvk(&gvk);
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    let params = PatchParams::apply(MANAGER).dry_run().validation_strict();
    api.patch(body["metadata"]["name"].as_str().unwrap(), &params, &Patch::Apply(body)).await
}

/// The Gateway API's own definition of HTTPRoute, which lies beside the test cluster's programs in the PATH.
fn route_definition() -> Value {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let file = std::env::split_paths(&paths)
        .map(|path: PathBuf| path.join("gateway-api.yaml"))
        .find(|file| file.exists());
    let file = file.expect("gateway-api.yaml is in no directory of the PATH: run this test by `make test`");
    let text = std::fs::read_to_string(file).unwrap();
    let document = text
        .split("\n---")
        .find(|document| document.contains("\n  name: httproutes.gateway.networking.k8s.io"))
        .expect("the file defines HTTPRoute");
    serde_saphyr::from_str(document).unwrap()
}
