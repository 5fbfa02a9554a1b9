//! The embedded PostgreSQL: one pod, one volume, no backup.

use serde_json::{Map, Value, json};

use super::{
    child::{child, selector},
    container::restricted,
    pod::{Template, scratch},
};
use crate::{
    api::{EmbeddedDatabaseSpec, PodSettings},
    model::{
        Component,
        child::{Child, Kind},
    },
    validate::{Installation, SecretKey},
};

/// The role and the name of the embedded database.
pub const EMBEDDED_ROLE: &str = "flagsmith";
/// The key of the generated Secret that holds the role's password.
pub const EMBEDDED_PASSWORD_KEY: &str = "POSTGRES_PASSWORD";
/// PostgreSQL's port.
pub const PORT: u16 = 5432;

/// The `postgres` user of the official image (Debian variant).
const USER: i64 = 999;
/// Seconds for a clean shutdown; a killed PostgreSQL recovers, but takes longer to start.
const GRACE_PERIOD: i32 = 60;
const PROBE_PERIOD: i32 = 2;
const PROBE_TIMEOUT: i32 = 5;
/// The first start runs initdb: five minutes for a slow disk.
const STARTUP_FAILURES: i32 = 150;
const LIVENESS_FAILURES: i32 = 30;
const READINESS_FAILURES: i32 = 3;

pub(super) fn build(
    installation: &Installation,
    settings: &EmbeddedDatabaseSpec,
    url: &SecretKey,
) -> Vec<Child> {
    let name = installation.child(Component::Database.as_str());
    let service = child(
        installation,
        Kind::Service,
        &name,
        Some(Component::Database),
        Map::new(),
        json!({ "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector(installation, Component::Database),
            "ports": [{ "name": "postgresql", "port": PORT, "targetPort": "postgresql", "protocol": "TCP" }],
        } }),
    );
    let pod = PodSettings::default();
    let template = Template {
        component: Component::Database,
        release: None,
        settings: &pod,
        secret_hash: None,
        grace_period: Some(GRACE_PERIOD),
        containers: vec![postgres(installation, settings, url)],
        volumes: vec![scratch("tmp"), scratch("run")],
        user: USER,
        initial: Vec::new(),
        rest: Value::Null,
    };
    let set = child(
        installation,
        Kind::StatefulSet,
        &name,
        Some(Component::Database),
        Map::new(),
        json!({ "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": { "matchLabels": selector(installation, Component::Database) },
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": installation.deletion_policy, "whenScaled": "Retain" },
            "template": template.build(installation),
            "volumeClaimTemplates": [{
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": settings.storage_class_name,
                    "resources": { "requests": { "storage": settings.storage } },
                },
            }],
        } }),
    );
    vec![service, set]
}

fn postgres(installation: &Installation, settings: &EmbeddedDatabaseSpec, url: &SecretKey) -> Value {
    let probe = |failures: i32| {
        json!({
            // Over TCP: while the first start initialises, the server listens on its socket only.
            "exec": { "command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", EMBEDDED_ROLE, "-d", EMBEDDED_ROLE] },
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": PROBE_TIMEOUT,
            "successThreshold": 1,
            "failureThreshold": failures,
        })
    };
    json!({
        "name": "postgresql",
        "image": settings.image,
        "imagePullPolicy": installation.images.pull_policy,
        "env": [
            { "name": "POSTGRES_USER", "value": EMBEDDED_ROLE },
            { "name": "POSTGRES_DB", "value": EMBEDDED_ROLE },
            { "name": "POSTGRES_PASSWORD", "valueFrom": { "secretKeyRef": { "name": url.name, "key": EMBEDDED_PASSWORD_KEY } } },
            // A directory below the mount: a fresh volume often holds lost+found, which initdb refuses.
            { "name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata" },
        ],
        "ports": [{ "name": "postgresql", "containerPort": PORT, "protocol": "TCP" }],
        "resources": settings.resources,
        "volumeMounts": [
            { "name": "data", "mountPath": "/var/lib/postgresql/data" },
            { "name": "run", "mountPath": "/var/run/postgresql" },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
        "securityContext": restricted(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": probe(STARTUP_FAILURES),
        "livenessProbe": probe(LIVENESS_FAILURES),
        "readinessProbe": probe(READINESS_FAILURES),
    })
}
