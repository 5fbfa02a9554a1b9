//! Secrets that are missing or cannot be used.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::{
        context::Context,
        database::shared::{keys, sources},
    },
    observe::{Observation, SecretState},
    validate::{Installation, SecretKey},
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let context = Context {
        installation,
        observation,
    };
    let namespace = &installation.identity.namespace;
    let mut found: Vec<Diagnosis> = sources(&context)
        .into_iter()
        .filter_map(|source| match source.state {
            SecretState::Unreadable(error) => Some(unreadable(
                namespace,
                &source.key.name,
                error,
                Component::Database,
            )),
            _ => None,
        })
        .collect();
    // Before the first start the operator is about to make its own Secrets.
    let expected = |state_missing: bool, own: bool| state_missing && own && !observation.has_run();
    let django = &observation.secrets.django;
    if !expected(
        *django == SecretState::Missing,
        installation.generates_django_secret,
    ) {
        found.extend(django_secret(installation, django));
    }
    found
}

fn django_secret(installation: &Installation, state: &SecretState<()>) -> Option<Diagnosis> {
    let namespace = &installation.identity.namespace;
    let SecretKey { name, key } = &installation.django_secret;
    let (what, remedy) = match state {
        SecretState::Present(()) | SecretState::Unread => return None,
        SecretState::Missing if installation.generates_django_secret => (
            format!(
                "The Secret {namespace}/{name} with Django's secret key is gone. Running pods still have the key, new ones cannot start; a new key would end every session and make stored credentials unreadable, so none is made."
            ),
            format!(
                "Restore it from a backup, or from a running pod: kubectl -n {namespace} create secret generic {name} --from-literal={key}=\"$(kubectl -n {namespace} exec deploy/{}-api -- printenv DJANGO_SECRET_KEY)\"",
                installation.identity.name
            ),
        ),
        SecretState::Missing if !installation.managed_by.is_operator() => (
            format!(
                "The Secret {namespace}/{name}, whose key {key} should hold Django's secret key, does not exist, so no pod can start."
            ),
            format!(
                "Restore it from a backup, or make a new key, which ends every session: kubectl -n {namespace} create secret generic {name} --from-literal={key}=\"$(openssl rand -base64 48)\""
            ),
        ),
        SecretState::Missing => (
            format!(
                "The Secret {namespace}/{name}, whose key {key} should hold Django's secret key, does not exist, so no pod can start."
            ),
            format!(
                "Create it, or remove spec.django.secretKeyFrom to have one made: kubectl -n {namespace} create secret generic {name} --from-literal={key}=\"$(openssl rand -base64 48)\""
            ),
        ),
        SecretState::KeyMissing { keys: present } => (
            format!(
                "The Secret {namespace}/{name} has no key {key} for Django's secret key; it has {}.",
                keys(present)
            ),
            if installation.managed_by.is_operator() {
                "Add the key to the Secret, or name the right one in spec.django.secretKeyFrom.secretKeyRef.key."
            } else {
                "Add the key to the Secret, or name the right one in the API's environment."
            }
            .to_owned(),
        ),
        SecretState::Unusable(why) => (
            format!("The key {key} of Secret {namespace}/{name} cannot be Django's secret key: {why}."),
            "Write a long random text into it.".to_owned(),
        ),
        SecretState::Unreadable(error) => return Some(unreadable(namespace, name, error, Component::Api)),
    };
    Some(diagnosis(
        Code::DjangoSecretMissing,
        Severity::Critical,
        Component::Api,
        what,
        Vec::new(),
        remedy,
    ))
}

fn unreadable(namespace: &str, name: &str, error: &str, component: Component) -> Diagnosis {
    diagnosis(
        Code::Forbidden,
        Severity::Critical,
        component,
        format!("The operator could not read Secret {namespace}/{name}."),
        vec![error.to_owned()],
        format!(
            "Grant the operator's ServiceAccount the verb get on Secrets in {namespace} (the Helm chart does), or check that the API server answers."
        ),
    )
}
