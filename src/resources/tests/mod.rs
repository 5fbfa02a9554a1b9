//! Tests of what is built: snapshots of typical installations, the types of Kubernetes, and properties.

mod backup;
mod fronts;
mod job;
mod jobs_and_pods;
mod network;
mod properties;
mod snapshots;
mod typed;

use serde_json::{Value, json};

use crate::{
    api::{MigrationResult, MigrationStatus},
    decide::{Plan, decide},
    fixtures,
    model::child::Child,
    observe::{Observation, SecretState, WorkloadState},
    resources::build,
    validate::{Installation, MigrationKey},
};

/// The release that runs before an upgrade.
const OLD: &str = "2.250.0";

/// An installation whose migration is recorded.
fn migrated(installation: &Installation) -> Observation {
    let mut observation = fixtures::empty_observation();
    observation.previous.migration = Some(MigrationStatus {
        key: Some(key(installation)),
        version: installation.release.to_string(),
        result: MigrationResult::Applied,
        ..MigrationStatus::default()
    });
    observation
}

/// An installation that runs [`OLD`] and whose task processor has stopped.
fn before_an_upgrade() -> Observation {
    let mut observation = fixtures::empty_observation();
    let deployment = |component: &str, repository: &str, desired| WorkloadState {
        name: format!("flagsmith-{component}"),
        release: OLD.parse().ok(),
        image: Some(format!("docker.flagsmith.com/flagsmith/flagsmith-{repository}:{OLD}")),
        migration_key: Some("0123456789".to_owned()),
        migrated: OLD.parse().ok(),
        secret_hash: Some("a-hash".to_owned()),
        desired,
        observed: true,
        ..WorkloadState::default()
    };
    observation.api = Some(deployment("api", "api", 2));
    observation.task_processor = Some(deployment("task-processor", "api", 0));
    observation.frontend = Some(deployment("frontend", "frontend", 1));
    observation
}

fn key(installation: &Installation) -> String {
    MigrationKey::migrate(installation, installation.release, &fixtures::database()).to_string()
}

fn plan(installation: &Installation, observation: &Observation) -> Plan {
    decide(installation, observation, &[])
}

/// Everything of an installation: what runs after the migration, and the Job of it.
fn everything(installation: &Installation) -> Vec<Child> {
    let mut plan = plan(installation, &migrated(installation));
    plan.migrate = self::plan(installation, &fixtures::empty_observation()).migrate;
    assert!(plan.migrate.is_some());
    build(installation, &plan)
}

/// Every setting of pods.
fn pod_settings() -> Value {
    json!({
        "labels": { "team": "flags" },
        "annotations": { "example.com/scrape": "true" },
        "nodeSelector": { "kubernetes.io/arch": "amd64" },
        "tolerations": [{ "key": "dedicated", "operator": "Exists", "effect": "NoSchedule" }],
        "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 1,
            "podAffinityTerm": { "topologyKey": "kubernetes.io/hostname", "labelSelector": {} },
        }] } },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { "team": "flags" } },
        }],
        "priorityClassName": "important",
        "schedulerName": "own-scheduler",
        "runtimeClassName": "gvisor",
        "serviceAccountName": "of-this-component",
        "hostAliases": [{ "ip": "10.0.0.7", "hostnames": ["db.internal"] }],
        "dnsPolicy": "None",
        "dnsConfig": { "nameservers": ["10.0.0.10"] },
        "shareProcessNamespace": true,
        "initContainers": [{ "name": "proxy", "image": "proxy:2", "restartPolicy": "Always" }],
        "extraContainers": [{ "name": "statsd", "image": "statsd:1", "ports": [{ "containerPort": 9102 }] }],
        "securityContext": { "runAsUser": 1000 },
        "volumes": [{ "name": "ca", "secret": { "secretName": "ca" } }],
    })
}

/// Every setting that there is.
fn full() -> Value {
    let source = |name: &str| json!({ "secretKeyRef": { "name": name, "key": "url" } });
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": 7 });
    let pod = pod_settings();
    let container = |name: &str| {
        json!({
            "env": [{ "name": "LOG_LEVEL", "value": name }],
            "envFrom": [{ "configMapRef": { "name": name } }],
            "containerSecurityContext": { "runAsNonRoot": true },
            "volumeMounts": [{ "name": "ca", "mountPath": "/etc/ca", "readOnly": true }],
            "startupProbe": probe("/startup"),
            "livenessProbe": probe("/live"),
            "readinessProbe": probe("/ready"),
            "resources": { "requests": { "cpu": "1" } },
            "pod": pod,
        })
    };
    let with = |name: &str, more: Value| {
        let mut settings = container(name);
        if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        settings
    };
    let autoscaling = json!({
        "minReplicas": 3,
        "maxReplicas": 9,
        "targetCPUUtilizationPercentage": 70,
        "behavior": { "scaleDown": { "stabilizationWindowSeconds": 600 } },
    });
    let mut migrations = with("migrations", json!({ "activeDeadlineSeconds": 600, "backoffLimit": 1 }));
    if let Some(migrations) = migrations.as_object_mut() {
        migrations.retain(|key, _| !key.ends_with("Probe"));
        if let Some(pod) = migrations.get_mut("pod").and_then(Value::as_object_mut) {
            pod.remove("extraContainers");
        }
    }
    fixtures::spec(json!({
        "requestTimeoutSeconds": 300,
        "commonLabels": { "cost-centre": "42" },
        "commonAnnotations": { "example.com/owner": "flags" },
        "images": {
            "api": "registry.example.com:5000/flagsmith-api",
            "frontend": "registry.example.com:5000/flagsmith-frontend",
            "pullPolicy": "Always",
            "pullSecrets": [{ "name": "registry" }],
        },
        "database": {
            "urlFrom": source("app"),
            "migrationUrlFrom": source("owner"),
            "analyticsUrlFrom": source("analytics"),
            "replicaUrlsFrom": [source("replica-a"), source("replica-b")],
        },
        "django": { "secretKeyFrom": source("django"), "allowedHosts": [".example.com", "flags.internal"] },
        "env": [{ "name": "LOG_LEVEL", "value": "INFO" }, { "name": "LOG_FORMAT", "value": "generic" }],
        "envFrom": [{ "secretRef": { "name": "shared" } }],
        "api": with("api", json!({
            "autoscaling": autoscaling,
            "gunicorn": { "workers": 5, "threads": 4, "keepAliveSeconds": 620 },
            "service": {
                "type": "NodePort",
                "annotations": { "cloud.google.com/backend-config": "{\"default\": \"flags\"}" },
                "labels": { "team": "flags" },
            },
            "podDisruptionBudget": { "minAvailable": "50%", "unhealthyPodEvictionPolicy": "IfHealthyBudget" },
        })),
        "taskProcessor": with("task-processor", json!({
            "replicas": 2, "threads": 8, "sleepIntervalMilliseconds": 250, "queuePopSize": 3,
        })),
        "frontend": with("frontend", json!({ "replicas": 3, "podDisruptionBudget": { "enabled": false } })),
        "migrations": migrations,
        "exposure": {
            "hosts": ["flags.example.com", "*.flags.example.com"],
            "ingress": {
                "className": "nginx",
                "annotations": { "cert-manager.io/cluster-issuer": "letsencrypt" },
                "tls": [{ "hosts": ["flags.example.com"], "secretName": "flags-tls" }],
            },
        },
        "serviceAccountName": "workload-identity",
    }))
}

/// A PostgreSQL that the operator runs, and an HTTPRoute for every host.
fn embedded() -> Value {
    fixtures::spec(json!({
        "database": { "embedded": { "storageClassName": "fast" } },
        "exposure": {
            "hosts": ["*"],
            "httpRoute": {
                "parentRefs": [{ "name": "public", "namespace": "gateways", "sectionName": "https" }],
                "annotations": { "example.com/owner": "flags" },
            },
        },
        "frontend": { "enabled": false },
    }))
}

/// Without an answer of the database nothing is known of its migration.
fn unknown_database(mut observation: Observation) -> Observation {
    observation.secrets.database = SecretState::Missing;
    observation.secrets.migration_database = SecretState::Missing;
    observation
}
