//! Secrets that are missing or cannot be used.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::{Observation, SecretState},
    validate::{Database, Installation, SecretKey},
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let generated = matches!(installation.database, Database::Embedded { .. });
    // Before the first start the operator is about to make its own Secrets.
    let expected = |state_missing: bool, own: bool| state_missing && own && !observation.has_run();
    let database = &observation.secrets.database;
    let lost_password = generated && observation.embedded_database.is_some();
    if !expected(*database == SecretState::Missing, generated && !lost_password) {
        found.extend(database_secret(
            installation,
            installation.database.url(),
            database,
            if installation.managed_by.is_operator() {
                "spec.database.urlFrom"
            } else {
                "the API's environment"
            },
        ));
    }
    if installation.database.migration_url() != installation.database.url() {
        found.extend(database_secret(
            installation,
            installation.database.migration_url(),
            &observation.secrets.migration_database,
            "spec.database.migrationUrlFrom",
        ));
    }
    if let (Some(key), Some(state)) = (
        installation.database.task_processor_url(),
        &observation.secrets.task_processor_database,
    ) {
        found.extend(database_secret(
            installation,
            key,
            state,
            "spec.database.taskProcessorUrlFrom",
        ));
    }
    found
}

fn database_secret<T>(
    installation: &Installation,
    key: &SecretKey,
    state: &SecretState<T>,
    field: &str,
) -> Option<Diagnosis> {
    let namespace = &installation.identity.namespace;
    let SecretKey { name, key } = key;
    let create = format!(
        "kubectl -n {namespace} create secret generic {name} --from-literal={key}='postgresql://USER:PASSWORD@HOST:5432/NAME'"
    );
    let (code, message, evidence, remedy) = match state {
        SecretState::Present(_) | SecretState::Unread | SecretState::Unreadable(_) => return None,
        SecretState::Missing => (
            Code::DatabaseSecretMissing,
            format!("The Secret {namespace}/{name}, whose key {key} should hold DATABASE_URL, does not exist, so nothing new can be started."),
            vec![format!("{field} names Secret {namespace}/{name}, key {key}; the API server says that there is no such Secret")],
            format!("Create it: {create} (characters such as # / @ in the password percent-encoded). The operator looks again every few seconds."),
        ),
        SecretState::KeyMissing { keys } => (
            Code::DatabaseSecretKeyMissing,
            format!("The Secret {namespace}/{name} has no key {key}, which should hold DATABASE_URL, so nothing new can be started."),
            vec![format!("{field} names key {key}; the Secret has {}", list(keys))],
            format!("Add the key to the Secret, or name the right one in {field}."),
        ),
        SecretState::Unusable(why) => (
            Code::DatabaseUrlInvalid,
            format!("The key {key} of Secret {namespace}/{name} is not a usable DATABASE_URL: {why}."),
            vec![format!("{field} names Secret {namespace}/{name}, key {key}; its value is not shown here")],
            "Write it as postgresql://USER:PASSWORD@HOST:5432/NAME, with the password percent-encoded and without a trailing newline.".to_owned(),
        ),
    };
    Some(diagnosis(
        code,
        Severity::Critical,
        Component::Database,
        message,
        evidence,
        remedy,
    ))
}

fn list(keys: &[String]) -> String {
    if keys.is_empty() {
        "no key at all".to_owned()
    } else {
        format!("only {}", keys.join(", "))
    }
}
