//! Secrets that the operator makes once. They are created and never written again: what is in them must not
//! change under a running installation.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use rand::RngExt as _;

use super::Error;
use crate::{
    api::DeletionPolicy,
    decide::GeneratedSecret,
    model::{Component, child::marks},
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
        GeneratedSecret::EmbeddedDatabase => installation.database.url(),
    }
}

/// Creates a Secret. One that exists already is left as it is, whoever made it.
pub(super) async fn create(
    client: &Client,
    installation: &Installation,
    which: GeneratedSecret,
) -> Result<(), Error> {
    let identity = &installation.identity;
    let SecretKey { name, key } = key(installation, which);
    let data = match which {
        GeneratedSecret::Django => BTreeMap::from([(key.clone(), random(DJANGO_KEY_LENGTH))]),
        GeneratedSecret::EmbeddedDatabase => {
            let password = random(PASSWORD_LENGTH);
            let host =
                format!("{}.{}.svc", installation.child(Component::Database.as_str()), identity.namespace);
            let url =
                format!("postgresql://{EMBEDDED_ROLE}:{password}@{host}:{EMBEDDED_PORT}/{EMBEDDED_ROLE}");
            BTreeMap::from([(key.clone(), url), (EMBEDDED_PASSWORD_KEY.to_owned(), password)])
        }
    };
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
            owner_references: match installation.deletion_policy {
                DeletionPolicy::Delete => Some(vec![installation.owner()]),
                DeletionPolicy::Retain => None,
            },
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
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Letters and digits from the operating system's generator; they need no quoting in a URL or a shell.
fn random(length: usize) -> String {
    let mut generator = rand::rng();
    (0..length).map(|_| char::from(generator.sample(rand::distr::Alphanumeric))).collect()
}
