//! Secrets that the operator makes. Keys and passwords are created and never written again: what is in them must not
//! change under a running installation. URLs that are put together from parts follow these.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use rand::RngExt as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::Error;
use crate::{
    api::DeletionPolicy,
    decide::GeneratedSecret,
    model::{Component, child::marks},
    observe::urls,
    resources::{EMBEDDED_PASSWORD_KEY, EMBEDDED_PORT, EMBEDDED_ROLE},
    validate::{Installation, SecretKey},
};

/// Characters of Django's secret key; Django's own `startproject` makes 50, of a larger alphabet.
const DJANGO_KEY_LENGTH: usize = 64;
/// Characters of the embedded database's password: more than 140 bits.
const PASSWORD_LENGTH: usize = 24;

/// A Secret that was made or written.
pub struct WrittenSecret {
    /// Its name.
    pub name: String,
    /// It, as the server answered; `None` where it was there already.
    pub content: Option<Secret>,
}

impl fmt::Debug for WrittenSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WrittenSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a generated Secret is, and the key in it that pods read.
pub(super) fn key(installation: &Installation, which: GeneratedSecret) -> &SecretKey {
    match which {
        GeneratedSecret::Django => &installation.django_secret,
        GeneratedSecret::EmbeddedDatabase | GeneratedSecret::DatabaseUrls => installation.database.url(),
    }
}

/// Writes a Secret. One that exists already is left as it is, whoever made it; but URLs of this installation's own are
/// replaced by what they should be.
pub(super) async fn write(
    client: &Client,
    installation: &Installation,
    which: GeneratedSecret,
) -> Result<WrittenSecret, Error> {
    let identity = &installation.identity;
    let SecretKey { name, key } = key(installation, which);
    let data: BTreeMap<String, String> = match which {
        GeneratedSecret::Django => BTreeMap::from([(key.clone(), random(DJANGO_KEY_LENGTH))]),
        GeneratedSecret::EmbeddedDatabase => {
            let password = random(PASSWORD_LENGTH);
            let host =
                format!("{}.{}.svc", installation.child(Component::Database.as_str()), identity.namespace);
            let url =
                format!("postgresql://{EMBEDDED_ROLE}:{password}@{host}:{EMBEDDED_PORT}/{EMBEDDED_ROLE}");
            BTreeMap::from([(key.clone(), url), (EMBEDDED_PASSWORD_KEY.to_owned(), password)])
        }
        GeneratedSecret::DatabaseUrls => match urls(client, installation).await {
            Some(urls) => urls.into_iter().map(|(key, url)| (key, url.expose_secret().to_owned())).collect(),
            // A part is missing since it was seen; the next look says which.
            None => return Ok(WrittenSecret { name: name.clone(), content: None }),
        },
    };
    let owned =
        which == GeneratedSecret::DatabaseUrls || installation.deletion_policy == DeletionPolicy::Delete;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(identity.namespace.clone()),
            labels: Some(BTreeMap::from([
                (marks::MANAGED_BY.to_owned(), marks::OPERATOR.to_owned()),
                (marks::INSTANCE.to_owned(), identity.name.clone()),
            ])),
            annotations: Some(BTreeMap::from([(marks::GENERATED_FOR.to_owned(), identity.name.clone())])),
            // With an owner Kubernetes deletes it together with that.
            owner_references: owned.then(|| vec![installation.owner()]),
            ..ObjectMeta::default()
        },
        string_data: Some(data),
        ..Secret::default()
    };
    let parameters = PostParams { field_manager: Some(marks::OPERATOR.to_owned()), ..PostParams::default() };
    let api: Api<Secret> = Api::namespaced(client.clone(), &identity.namespace);
    match api.create(&parameters, &secret).await {
        Ok(made) => {
            tracing::info!(secret = name, key, namespace = identity.namespace, "generated a Secret");
            Ok(WrittenSecret { name: name.clone(), content: Some(made) })
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            if which == GeneratedSecret::DatabaseUrls {
                replace(&api, installation, secret).await?;
            }
            Ok(WrittenSecret { name: name.clone(), content: None })
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes what a Secret of this installation should hold, and nothing else.
async fn replace(api: &Api<Secret>, installation: &Installation, wanted: Secret) -> Result<(), Error> {
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let Some(found) = api.get_opt(&name).await? else { return Ok(()) };
    let owners = found.metadata.owner_references.as_deref().unwrap_or_default();
    if owners.iter().all(|owner| owner.uid != installation.identity.uid) {
        return Ok(());
    }
    let wanted = wanted.string_data.unwrap_or_default();
    let encoded = |text: &String| ByteString(text.clone().into_bytes());
    let mut data: BTreeMap<String, Option<ByteString>> =
        found.data.into_iter().flatten().map(|(key, _)| (key, None)).collect();
    data.extend(wanted.iter().map(|(key, text)| (key.clone(), Some(encoded(text)))));
    // Neither another object of that name nor another state of this one is written over.
    let (uid, version) = (found.metadata.uid, found.metadata.resource_version);
    let patch = json!({ "metadata": { "uid": uid, "resourceVersion": version }, "data": data });
    let parameters =
        PatchParams { field_manager: Some(marks::OPERATOR.to_owned()), ..PatchParams::default() };
    api.patch(&name, &parameters, &Patch::Merge(&patch)).await?;
    tracing::info!(
        secret = name,
        namespace = installation.identity.namespace,
        "wrote the URLs of a database"
    );
    Ok(())
}

/// Letters and digits from the operating system's generator; they need no quoting in a URL or a shell.
fn random(length: usize) -> String {
    let mut generator = rand::rng();
    (0..length).map(|_| char::from(generator.sample(rand::distr::Alphanumeric))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response, StatusCode};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use rstest::rstest;
    use serde_json::Value;
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::fixtures;

    /// What is asked of the server by one who writes a Secret: method, name and query, and body. The server answers the
    /// creation with this code, and shows the user's Secret `rds` and the object `found` under every other name.
    async fn asked(
        which: GeneratedSecret,
        code: u16,
        found: Option<Value>,
    ) -> (Vec<(String, Value)>, Result<WrittenSecret, Error>) {
        let all = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&all);
        let server = service_fn(move |request: Request<Body>| {
            let (seen, found) = (Arc::clone(&seen), found.clone());
            async move {
                let path = request.uri().to_string();
                let asked = format!("{} {}", request.method(), path.rsplit('/').next().unwrap_or_default());
                let body = request.into_body().collect().await?.to_bytes();
                let (code, answer) = match found {
                    _ if asked.starts_with("POST") && code == 201 => (201, json!({ "metadata": {} })),
                    _ if asked.starts_with("POST") => (code, json!({ "kind": "Status", "code": code })),
                    _ if asked.starts_with("GET rds") => (
                        200,
                        json!({ "metadata": { "name": "rds" }, "data": { "user": "dQ==", "password": "cA==" } }),
                    ),
                    Some(found) => (200, found),
                    None => (404, json!({ "kind": "Status", "code": 404, "reason": "NotFound" })),
                };
                seen.lock().unwrap().push((asked, serde_json::from_slice(&body).unwrap_or_default()));
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                Ok::<_, BoxError>(response)
            }
        });
        let key = |key: &str| json!({ "secretKeyRef": { "name": "rds", "key": key } });
        let spec = fixtures::spec(json!({ "database": {
            "host": "db.prod", "name": "flags", "userFrom": key("user"), "passwordFrom": key("password"),
        } }));
        let result = write(&Client::new(server, "prod"), &fixtures::installation(&spec), which).await;
        let all = all.lock().unwrap().clone();
        (all, result)
    }

    #[rstest]
    #[case::made(201, true)]
    #[case::there_already(409, true)]
    #[case::the_server_fails(500, false)]
    #[tokio::test]
    async fn a_key_is_made_once_and_never_touched_again(#[case] code: u16, #[case] done: bool) {
        let (asked, result) = asked(GeneratedSecret::Django, code, None).await;
        assert_eq!(result.is_ok(), done, "{result:?}");
        let [(creation, secret)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(creation, "POST secrets?&fieldManager=flagsmith-operator");
        let data = secret["stringData"].as_object().unwrap();
        let lengths: Vec<_> = data.values().map(|text| text.as_str().unwrap().len()).collect();
        assert_eq!(lengths, [DJANGO_KEY_LENGTH]);
        // Without an owner it stays when the installation goes.
        let metadata = json!({
            "name": "flagsmith-django",
            "namespace": "prod",
            "labels": { marks::MANAGED_BY: marks::OPERATOR, marks::INSTANCE: "flagsmith" },
            "annotations": { marks::GENERATED_FOR: "flagsmith" },
        });
        assert_eq!(secret["metadata"], metadata);
    }

    /// Whoever owns it. URLs that are there are written over where they are its own, and nothing else of it stays.
    #[rstest]
    #[case::its_own("b9b0b7a6", true)]
    #[case::somebody_elses("another", false)]
    #[tokio::test]
    async fn urls_follow_their_parts(#[case] owner: &str, #[case] written: bool) {
        let found = json!({
            "metadata": {
                "name": "flagsmith-database", "uid": "an-uid", "resourceVersion": "7",
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "first" },
                    { "apiVersion": "v1", "kind": "A", "name": "a", "uid": owner },
                ],
            },
            "data": { "PAST": "cA==" },
        });
        let (asked, result) = asked(GeneratedSecret::DatabaseUrls, 409, Some(found)).await;
        assert!(result.is_ok(), "{result:?}");
        let (_, made) = asked.iter().find(|(asked, _)| asked.starts_with("POST")).unwrap();
        assert_eq!(
            made["metadata"]["ownerReferences"][0]["uid"], "b9b0b7a6",
            "they go with the installation"
        );
        let patches: Vec<_> = asked.iter().filter(|(asked, _)| asked.starts_with("PATCH")).collect();
        assert_eq!(patches.len(), usize::from(written), "{asked:?}");
        for (patch, body) in patches {
            assert!(patch.contains("fieldManager=flagsmith-operator"), "{patch}");
            assert_eq!(body["metadata"], json!({ "uid": "an-uid", "resourceVersion": "7" }));
            let data = body["data"].as_object().unwrap();
            assert_eq!((&data["PAST"], data.len()), (&Value::Null, 2));
        }
    }

    #[tokio::test]
    async fn urls_that_have_gone_meanwhile_are_made_in_the_next_pass() {
        let (asked, result) = asked(GeneratedSecret::DatabaseUrls, 409, None).await;
        assert!(result.is_ok(), "{result:?}");
        assert!(asked.iter().all(|(asked, _)| !asked.starts_with("PATCH")), "{asked:?}");
    }
}
