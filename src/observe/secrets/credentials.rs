//! The Secrets of one installation, judged and hashed, and the URLs that they hold.

use hmac::{Hmac, KeyInit as _, Mac as _};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::{
    super::tls::Environment,
    reader::{Reader, Url},
    state::{SecretState, Secrets},
    urls::Composed,
};
use crate::{
    postgres::{DatabaseUrl, TlsSettings},
    validate::{Database, Installation},
};

/// Hexadecimal digits of the hash of Secrets.
const HASH_DIGITS: usize = 16;

/// The Secrets of one installation, with the URLs that only the probes of its databases see.
#[derive(Clone)]
pub(in crate::observe) struct Credentials {
    pub(in crate::observe) secrets: Secrets,
    pub(in crate::observe) url: Option<DatabaseUrl>,
    pub(in crate::observe) migration_url: Option<DatabaseUrl>,
    /// The separate database of the task processor.
    pub(in crate::observe) task_processor_url: Option<DatabaseUrl>,
}

/// Reads every Secret that the installation's pods need, each once, but for those that are known. Returns also all that
/// there are.
pub(super) async fn read(
    client: &Client,
    installation: &Installation,
    known: Vec<Secret>,
) -> (Credentials, Vec<Secret>) {
    let namespace = &installation.identity.namespace;
    let mut reader = Reader::new(client, namespace).knowing(known);
    let identity = &installation.identity;
    let database = &installation.database;
    let composed = Composed::read(&mut reader, database).await;
    let url = match database {
        Database::Embedded { url, .. } => reader.generated_url(url, identity).await,
        Database::External { url, .. } => composed.url(&mut reader, database, url).await,
    };
    let migration_url = if database.migration_url() == database.url() {
        url.clone()
    } else {
        composed.url(&mut reader, database, database.migration_url()).await
    };
    let task_processor_url = match database.task_processor_url() {
        Some(key) => Some(composed.url(&mut reader, database, key).await),
        None => None,
    };
    let django = if installation.generates_django_secret {
        reader.generated_value(&installation.django_secret, identity).await
    } else {
        reader.value(&installation.django_secret).await
    };
    let mut others = Vec::new();
    if let Database::External { analytics_url, replica_urls, .. } = database {
        for key in analytics_url.iter().chain(replica_urls).chain(database.task_processor_url()) {
            others.push(composed.text(&mut reader, database, key).await);
        }
    }
    let urls = composed.kept(&mut reader, database, identity).await;
    let authorities = installation.database.authorities();
    let api = Environment::of_api(installation).read(&mut reader, authorities).await;
    let migrations = Environment::of_migrations(installation).read(&mut reader, authorities).await;
    let migration_hash = hash(&migration_url, &django, &[]);
    let hash = hash(&url, &django, &others);
    let credentials = Credentials {
        secrets: Secrets {
            database: identity_of(&url),
            migration_database: identity_of(&migration_url),
            task_processor_database: task_processor_url.as_ref().map(identity_of),
            of_processor: None,
            django: django.map(|_| ()),
            urls,
            missing_parts: composed.missing,
            hash,
            migration_hash,
        },
        url: usable(url, namespace, &api),
        migration_url: usable(migration_url, namespace, &migrations),
        task_processor_url: task_processor_url.and_then(|url| usable(url, namespace, &api)),
    };
    (credentials, reader.found())
}

impl Credentials {
    /// Of Secrets that are not read.
    pub(in crate::observe) const fn unread() -> Self {
        Self { secrets: Secrets::unread(), url: None, migration_url: None, task_processor_url: None }
    }
}

/// The URL with which the operator reaches a database of an installation in this namespace.
pub(in crate::observe) fn usable(url: Url, namespace: &str, tls: &TlsSettings) -> Option<DatabaseUrl> {
    match url {
        SecretState::Present((url, _)) => DatabaseUrl { tls: tls.clone(), ..url }.from_elsewhere(namespace),
        _ => None,
    }
}

pub(in crate::observe) fn identity_of(url: &Url) -> SecretState<crate::postgres::DatabaseIdentity> {
    url.map(|(url, _)| url.identity.clone())
}

/// A hash of all values, keyed with Django's secret key: it changes when one of them does, and tells nobody
/// who lacks that key whether a guessed password is right.
fn hash(
    url: &Url,
    django: &SecretState<SecretString>,
    others: &[SecretState<SecretString>],
) -> Option<String> {
    let (SecretState::Present((_, url)), SecretState::Present(key)) = (url, django) else {
        return None;
    };
    let mut values = vec![key, url];
    for other in others {
        let SecretState::Present(value) = other else {
            return None;
        };
        values.push(value);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).ok()?;
    for value in values {
        mac.update(&(value.expose_secret().len() as u64).to_be_bytes());
        mac.update(value.expose_secret().as_bytes());
    }
    Some(crate::model::hex::shortened(&mac.finalize().into_bytes(), HASH_DIGITS))
}
