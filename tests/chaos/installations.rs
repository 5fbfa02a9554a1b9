//! The installations of a schedule. Where there are two, both name one database.

use rand::RngExt as _;
use serde_json::{Value, json};

use crate::{
    VERSIONS,
    server::Server,
    store::{Key, base64},
};

const RESOURCE: &str = "flagsmithdeployments";

/// The one that is always there.
pub fn first() -> Key {
    (RESOURCE.to_owned(), "prod".to_owned(), "flagsmith".to_owned())
}

/// That one, and in half of the schedules another: beside it, or of the same name in another namespace.
pub fn some(server: &Server) -> Vec<Key> {
    let (namespace, name) = match server.with(|state| state.random.random_range(0..4)) {
        0 => ("prod", "other"),
        1 => ("team", "flagsmith"),
        _ => return vec![first()],
    };
    vec![first(), (RESOURCE.to_owned(), namespace.to_owned(), name.to_owned())]
}

/// Makes them. The database is known by a Secret in each namespace.
pub fn make(server: &Server, installations: &[Key]) {
    server.with(|state| {
        for installation in installations {
            let url = base64("postgresql://flagsmith:secret@192.0.2.1:5432/flagsmith");
            let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "DATABASE_URL": url } });
            let key = ("secrets".to_owned(), installation.1.clone(), "db".to_owned());
            if state.store.get(&key).is_none() {
                state.store.create(key, secret).unwrap();
            }
            state.store.create(installation.clone(), resource(VERSIONS[0])).unwrap();
        }
    });
}

pub fn resource(version: &str) -> Value {
    json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "metadata": {},
        "spec": {
            "version": version,
            "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } },
        },
    })
}

/// Whether it is ready, and said to be so of what is asked for now.
pub fn is_ready(installation: &Value) -> bool {
    let conditions = installation["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| {
        it["type"] == "Ready"
            && it["status"] == "True"
            && it["observedGeneration"] == installation["metadata"]["generation"]
    })
}
