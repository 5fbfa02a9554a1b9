//! The key behind the labels by which migrations of one database find each other.
//!
//! Before a migration starts, the Jobs and pods with its database's label are listed in every namespace that the
//! operator sees. Whoever may create a Job somewhere could hold up migrations of others if he could tell their label. So
//! it is a keyed hash, and the key is kept where only the operator and the administrators of its own namespace read it.

use std::{collections::BTreeMap, fmt};

use hmac::{Hmac, KeyInit as _, Mac as _};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

use crate::{
    model::{child::marks, hex},
    postgres::DatabaseIdentity,
};

/// Hexadecimal digits of a label: 80 bits cannot be guessed, and no two databases of a cluster have the same.
const DIGITS: usize = 20;

/// Bytes of a key, as many as the hash has.
const LENGTH: usize = 32;

/// The key in the Secret.
const KEY: &str = "key";

/// The key of the labels.
#[derive(Clone)]
pub struct LockKey(SecretSlice<u8>);

/// Where a process has its key from.
#[derive(Clone, Debug)]
pub enum LockKeySource {
    /// It has one.
    Given(LockKey),
    /// In a Secret, which the first process that looks for it makes.
    Kept {
        /// The operator's own namespace.
        namespace: String,
        /// The name of the Secret.
        name: String,
    },
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can be neither read nor made.
    #[error("the Secret {0} with the key of migration locks can be neither read nor created: {1}")]
    Api(String, #[source] Box<kube::Error>),
    /// Somebody has put something else there.
    #[error("the Secret {0} does not hold a key of {LENGTH} bytes in {KEY}; delete it to have one made")]
    Unusable(String),
}

impl LockKey {
    /// A key of these bytes, of whatever number.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(SecretSlice::from(bytes.to_vec()))
    }

    /// One that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        Self::new(&rand::random::<[u8; LENGTH]>())
    }

    /// The label value of what works on a database, as an installation in this namespace names it.
    #[must_use]
    pub fn label(&self, database: &DatabaseIdentity, namespace: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else {
            return String::new();
        };
        mac.update(database.within(namespace).to_string().as_bytes());
        hex::shortened(&mac.finalize().into_bytes(), DIGITS)
    }
}

impl fmt::Debug for LockKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LockKey")
    }
}

impl LockKeySource {
    /// The key. One that is not there yet is made: every replica may do so, the first has it.
    ///
    /// # Errors
    /// The Secret cannot be read or made, or does not hold a key. Without the key no migration may start: none would
    /// be seen by the next process.
    pub async fn load(&self, client: &Client) -> Result<LockKey, Error> {
        let (namespace, name) = match self {
            Self::Given(key) => return Ok(key.clone()),
            Self::Kept { namespace, name } => (namespace, name),
        };
        let place = || format!("{namespace}/{name}");
        let failed = |error| Error::Api(place(), Box::new(error));
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let mut found = api.get_opt(name).await.map_err(failed)?;
        if found.is_none() {
            match api.create(&PostParams::default(), &secret(namespace, name)).await {
                Ok(created) => found = Some(created),
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    found = api.get_opt(name).await.map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        match data.get(KEY) {
            Some(ByteString(bytes)) if bytes.len() == LENGTH => Ok(LockKey::new(bytes)),
            _ => Err(Error::Unusable(place())),
        }
    }
}

fn secret(namespace: &str, name: &str) -> Secret {
    let bytes = rand::random::<[u8; LENGTH]>().to_vec();
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([(marks::MANAGED_BY.to_owned(), marks::OPERATOR.to_owned())])),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(bytes))])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    fn database(host: &str) -> DatabaseIdentity {
        DatabaseIdentity { host: host.to_owned(), port: 5432, name: "flagsmith".to_owned() }
    }

    /// The key is kept: another label for the same input would not see the Jobs of the process before.
    #[test]
    fn a_label_is_stable() {
        let label = LockKey::new(&[7; LENGTH]).label(&database("postgres"), "prod");
        assert_eq!(label, "c3621f95124af0c235d8");
    }

    #[test]
    fn a_label_is_of_one_database_and_one_key() {
        let key = LockKey::new(&[7; LENGTH]);
        let label = |host: &str, namespace: &str| key.label(&database(host), namespace);
        assert_eq!(label("postgres", "a"), label("postgres.a.svc.cluster.local", "b"));
        assert_ne!(label("postgres", "a"), label("postgres", "b"));
        assert_ne!(label("postgres", "a"), LockKey::random().label(&database("postgres"), "a"));
        assert_eq!(format!("{key:?}"), "LockKey");
    }

    /// An API server that keeps one Secret.
    fn server(stored: &Arc<Mutex<Option<Value>>>) -> Client {
        let stored = Arc::clone(stored);
        let service = tower::service_fn(move |request: Request<Body>| {
            let stored = Arc::clone(&stored);
            async move {
                let posted = request.method() == Method::POST;
                let body = request.into_body().collect_bytes().await.unwrap();
                let mut stored = stored.lock().unwrap();
                let (status, answer) = match stored.clone() {
                    Some(_) if posted => (409, failure(409, "AlreadyExists")),
                    Some(secret) => (200, secret),
                    None if posted => {
                        let secret: Value = serde_json::from_slice(&body).unwrap();
                        *stored = Some(secret.clone());
                        (201, secret)
                    }
                    None => (404, failure(404, "NotFound")),
                };
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "operators")
    }

    fn failure(code: u16, reason: &str) -> Value {
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": reason })
    }

    #[tokio::test]
    async fn the_first_process_makes_the_key_that_all_have() {
        let stored = Arc::default();
        let client = server(&stored);
        let source = LockKeySource::Kept { namespace: "operators".to_owned(), name: "locks".to_owned() };
        let label = |key: LockKey| key.label(&database("postgres"), "prod");
        let first = label(source.load(&client).await.unwrap());
        assert_eq!(label(source.load(&client).await.unwrap()), first);
        *stored.lock().unwrap() = Some(json!({ "metadata": {}, "data": { "key": "eA==" } }));
        let error = source.load(&client).await.unwrap_err();
        assert!(error.to_string().contains("operators/locks does not hold a key"), "{error}");
    }
}
