//! The Secret with Django's secret key is missing.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
    },
    model::{Code, Component, Draft, Severity, shell},
    observe::SecretState,
    validate::{Installation, SecretKey},
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: &[
        Explains::everywhere(&[Code::ContainerConfigError]),
        Explains::same_component(consequences::WITHOUT_START),
    ],
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("django_secret_missing.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let state = &observation.secrets.django;
    // Before the first start the operator is about to make its own Secret.
    let expected =
        *state == SecretState::Missing && installation.generates_django_secret && !observation.has_run();
    let found = if expected { None } else { explain(installation, state) };
    found
        .into_iter()
        .map(|(message, remedy)| Draft {
            code: Code::DjangoSecretMissing,
            severity: Severity::Critical,
            component: Component::Api,
            message,
            evidence: Vec::new(),
            remedy,
        })
        .collect()
}

/// Message and remedy.
fn explain(installation: &Installation, state: &SecretState<()>) -> Option<(String, String)> {
    let namespace = &installation.identity.namespace;
    let SecretKey { name, key } = &installation.django_secret;
    let secret = shell::name(name, "SECRET");
    let create = format!(
        "kubectl -n {namespace} create secret generic {secret} --from-literal={}",
        shell::name(key, "KEY")
    );
    let absent = format!(
        "The Secret {namespace}/{name}, whose key {key} should hold Django's secret key, does not exist, so no pod can start."
    );
    Some(match state {
        // Who it belongs to is another cause's.
        SecretState::Present(())
        | SecretState::Unread
        | SecretState::Unreadable(_)
        | SecretState::NotOwned(_) => return None,
        SecretState::Missing if installation.generates_django_secret => (
            format!(
                "The Secret {namespace}/{name} with Django's secret key is gone. Running pods still have the key, new ones \
                 cannot start; a new key would end every session and make stored credentials unreadable, so none is made."
            ),
            format!(
                "Restore it from a backup, or from a running pod: {create}=\"$(kubectl -n {namespace} exec deploy/{}-api -- \
                 printenv DJANGO_SECRET_KEY)\". Then say that it is to be used: spec.django.secretKeyFrom.secretKeyRef: {{name: \
                 {name}, key: {key}}}",
                installation.identity.name
            ),
        ),
        SecretState::Missing => {
            let how = installation.managed_by.by_owner(
                || "Create it, or remove spec.django.secretKeyFrom to have one made",
                || "Restore it from a backup, or make a new key, which ends every session",
            );
            (absent, format!("{how}: {create}=\"$(openssl rand -base64 48)\""))
        }
        SecretState::KeyMissing => (
            format!("The Secret {namespace}/{name} has no key {key} for Django's secret key."),
            format!(
                "Look which keys it has: kubectl -n {namespace} describe secret {secret}. Add the key to the Secret, or \
                 name the right one in {}.",
                installation.managed_by.django_secret_key()
            ),
        ),
        SecretState::Unusable(why) => (
            format!("The key {key} of Secret {namespace}/{name} cannot be Django's secret key: {why}."),
            "Write a long random text into it.".to_owned(),
        ),
    })
}
