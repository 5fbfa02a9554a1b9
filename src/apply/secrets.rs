//! Secrets that the operator makes. Keys and passwords are created and never written again: what is in them must not
//! change under a running installation. URLs that are put together from parts follow these.

use std::collections::BTreeMap;

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
) -> Result<(), Error> {
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
            None => return Ok(()),
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
        Ok(_) => {
            tracing::info!(secret = name, key, namespace = identity.namespace, "generated a Secret");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            if which == GeneratedSecret::DatabaseUrls {
                replace(&api, installation, secret).await?;
            }
            Ok(())
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
