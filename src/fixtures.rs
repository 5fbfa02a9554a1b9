//! Installations and observations for tests.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus},
    observe::{DatabaseProbe, FrontSeen, Observation, SecretState, Secrets, database::Queues},
    validate::{DatabaseIdentity, Installation, validate},
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
    validate(&resource(spec)).unwrap()
}

/// The database of every fixture.
pub(crate) fn database() -> DatabaseIdentity {
    DatabaseIdentity {
        host: "db.prod".to_owned(),
        port: 5432,
        name: "flags".to_owned(),
    }
}

/// A namespace with all Secrets and nothing else.
pub(crate) fn observation() -> Observation {
    Observation {
        now: Timestamp::UNIX_EPOCH,
        previous: FlagsmithDeploymentStatus::default(),
        api: None,
        task_processor: None,
        frontend: None,
        embedded_database: None,
        jobs: Vec::new(),
        foreign_migration: None,
        pods: Vec::new(),
        secrets: Secrets {
            database: SecretState::Present(database()),
            migration_database: SecretState::Present(database()),
            task_processor_database: None,
            django: SecretState::Present(()),
            hash: Some("5ec7e7".to_owned()),
        },
        database: DatabaseProbe::NotProbed,
        queues: Queues::default(),
        preflight: None,
        backups: Vec::new(),
        foreign_autoscalers: BTreeSet::new(),
        http_route_api: true,
        exposure: None,
        front: FrontSeen::default(),
    }
}

/// A backup into a volume claim.
pub(crate) fn backup() -> crate::api::BackupSpec {
    serde_json::from_value(json!({ "volumeClaim": { "claimName": "backups" } })).unwrap()
}
