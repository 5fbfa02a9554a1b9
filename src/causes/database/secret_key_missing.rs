//! The Secret exists but lacks the key.

use super::shared::{Source, sources};
use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
    },
    model::{Code, Component, Draft, Severity, shell},
    observe::SecretState,
    validate::SecretKey,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::everywhere(&[Code::ContainerConfigError]),
    ],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("secret_key_missing.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let namespace = &context.installation.identity.namespace;
    sources(context)
        .into_iter()
        .filter_map(|Source { state, key, place }| {
            if *state != SecretState::KeyMissing {
                return None;
            }
            let SecretKey { name, key } = key;
            Some(Draft {
                code: Code::DatabaseSecretKeyMissing,
                severity: Severity::Critical,
                component: Component::Database,
                message: format!(
                    "The Secret {namespace}/{name} has no key {key}, which should hold DATABASE_URL, so nothing new can \
                     be started."
                ),
                evidence: vec![format!("{place} names Secret {namespace}/{name}, key {key}")],
                remedy: format!(
                    "Look which keys it has: kubectl -n {namespace} describe secret {}. Add the key to the Secret, or name \
                     the right one in {place}.",
                    shell::name(name, "SECRET")
                ),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::causes::diagnose;
    use crate::fixtures::{empty_observation, installation, spec};
    use crate::validate::ManagedBy;

    #[test]
    fn whoever_made_the_installation_is_told_where_the_key_is_named() {
        let mut wanted = installation(&spec(json!({})));
        let mut observation = empty_observation();
        observation.secrets.database = SecretState::KeyMissing;
        let remedy = |found: Vec<crate::model::Diagnosis>| {
            let it = found.into_iter().find(|it| it.code == Code::DatabaseSecretKeyMissing);
            it.unwrap().remedy
        };
        assert!(remedy(diagnose(&wanted, &observation)).ends_with("in spec.database.urlFrom."));
        wanted.managed_by =
            ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
        assert!(remedy(diagnose(&wanted, &observation)).ends_with("in the API's environment."));
    }
}
