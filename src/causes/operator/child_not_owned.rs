//! An object of that name belongs to somebody else.

use crate::{
    causes::prelude::*,
    model::shell,
    observe::{KeptUrls, SecretState},
    validate::SecretKey,
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    // Only a Secret that would be generated is known before anything is written.
    blocks_migration: true,
    check: Some(check),
    ..Cause::critical(Component::Operator, include_str!("child_not_owned.md"))
};

/// Secrets of the names under which the operator generates its own. Other objects are found when they are to be written.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let (installation, secrets) = (context.installation, &context.observation.secrets);
    let django = &installation.django_secret;
    let refer =
        format!("spec.django.secretKeyFrom.secretKeyRef: {{name: {}, key: {}}}", django.name, django.key);
    let kept = match &secrets.urls {
        KeptUrls::NotOwned(owner) => Some(owner.as_str()),
        _ => None,
    };
    [
        owner(&secrets.django).map(|owner| (Component::Api, django, owner, Some(refer))),
        owner(&secrets.database)
            .or(kept)
            .map(|it| (Component::Database, installation.database.url(), it, None)),
    ]
    .into_iter()
    .flatten()
    .map(|(component, secret, owner, refer)| draft(context, component, secret, owner, refer))
    .collect()
}

fn owner<T>(state: &SecretState<T>) -> Option<&str> {
    match state {
        SecretState::NotOwned(owner) => Some(owner),
        _ => None,
    }
}

fn draft(
    context: &Context<'_>,
    component: Component,
    secret: &SecretKey,
    owner: &str,
    refer: Option<String>,
) -> Draft {
    let namespace = &context.installation.identity.namespace;
    let name = &secret.name;
    let use_it = refer.map_or_else(String::new, |field| format!("To use it, say so: {field}. "));
    Draft {
        code: Code::ChildNotOwned,
        severity: Severity::Critical,
        component,
        message: format!(
            "Secret {namespace}/{name} exists already and was not generated for this FlagsmithDeployment, so it is not used, and \
             no pod is started or changed: whoever made it knows what is in it."
        ),
        evidence: vec![format!("Secret {namespace}/{name}: {owner}")],
        remedy: format!(
            "{use_it}To have one generated, delete it if nothing else needs it: kubectl -n {namespace} delete secret {}. Or give \
             this FlagsmithDeployment another name.",
            shell::name(name, "SECRET")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        causes::diagnose,
        fixtures::{empty_observation, installation, minimal, spec},
    };

    #[test]
    fn a_secret_that_the_operator_did_not_generate_is_named_with_the_ways_out() {
        let mut observation = empty_observation();
        observation.secrets.django = SecretState::NotOwned("it has no owner".to_owned());
        let found = diagnose(&installation(&minimal()), &observation);
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((found.code, found.severity), (Code::ChildNotOwned, Severity::Critical));
        assert!(found.message.contains("Secret prod/flagsmith-django exists"), "{found:?}");
        let remedy = found.remedy.to_string();
        for way in [
            "spec.django.secretKeyFrom.secretKeyRef: {name: flagsmith-django, key: DJANGO_SECRET_KEY}",
            "kubectl -n prod delete secret flagsmith-django",
        ] {
            assert!(remedy.contains(way), "{remedy}");
        }
    }

    #[test]
    fn the_embedded_databases_too() {
        let mut observation = empty_observation();
        observation.secrets.database = SecretState::NotOwned("it has no owner".to_owned());
        let installation = installation(&spec(json!({ "database": { "embedded": {} } })));
        let found = diagnose(&installation, &observation);
        assert!(
            found
                .iter()
                .any(|it| it.code == Code::ChildNotOwned && it.message.contains("prod/flagsmith-database")),
            "{found:?}"
        );
    }
}
