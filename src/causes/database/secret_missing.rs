//! The Secret with the database's credentials does not exist.

use super::shared::{Source, WRITTEN_AS, sources};
use crate::{causes::prelude::*, model::shell, observe::SecretState, validate::SecretKey};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::everywhere(&[Code::ContainerConfigError]),
    ],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("secret_missing.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let namespace = &context.installation.identity.namespace;
    sources(context)
        .into_iter()
        .filter(|source| *source.state == SecretState::Missing)
        .map(|Source { key, place, .. }| {
            let SecretKey { name, key } = key;
            Draft {
                message: format!(
                    "The Secret {namespace}/{name}, whose key {key} should hold DATABASE_URL, does not exist, so nothing \
                     new can be started."
                ),
                evidence: vec![format!(
                    "{place} names Secret {namespace}/{name}, key {key}; the API server says that there is no such Secret"
                )],
                remedy: format!(
                    "Create it: kubectl -n {} create secret generic {} --from-literal={}='{WRITTEN_AS}' (characters such \
                     as # / @ in the password percent-encoded). The operator looks again every few seconds.",
                    shell::name(namespace, "NAMESPACE"),
                    shell::name(name, "NAME"),
                    shell::name(key, "KEY")
                ),
                ..Code::DatabaseSecretMissing.draft()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::causes::{database::shared::testing::HOSTILE, diagnose};
    use crate::fixtures::{empty_observation, installation, spec};

    #[test]
    fn a_hostile_name_is_not_repeated_in_the_command() {
        let wanted = installation(&spec(json!({})));
        for name in HOSTILE {
            let mut wanted = wanted.clone();
            if let crate::validate::Database::External { url, .. } = &mut wanted.database {
                url.name = name.to_owned();
                url.key = name.to_owned();
            }
            let mut observation = empty_observation();
            observation.secrets.database = SecretState::Missing;
            let found = diagnose(&wanted, &observation);
            let remedy = &found.first().unwrap().remedy;
            assert!(
                remedy.contains("kubectl -n prod create secret generic NAME --from-literal=KEY='"),
                "{remedy}"
            );
        }
    }
}
