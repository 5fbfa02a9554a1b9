//! The operator lacks a permission.

use crate::{
    causes::{cause::Cause, context::Context},
    model::{Code, Component, Draft, Severity, child::Kind},
    observe::SecretState,
    validate::{Installation, SecretKey},
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    check: Some(check),
    ..Cause::critical(Component::Operator, include_str!("forbidden.md"))
};

/// Secrets that could not be read.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let installation = context.installation;
    let secrets = &context.observation.secrets;
    let (database, migrations) = (installation.database.url(), installation.database.migration_url());
    let separate = installation.database.task_processor_url().zip(secrets.task_processor_database.as_ref());
    let mut found: Vec<Draft> = Vec::new();
    found.extend(unreadable(installation, database, &secrets.database, Component::Database));
    if migrations != database {
        found.extend(unreadable(installation, migrations, &secrets.migration_database, Component::Database));
    }
    found.extend(separate.and_then(|(key, state)| unreadable(installation, key, state, Component::Database)));
    found.extend(unreadable(installation, &installation.django_secret, &secrets.django, Component::Api));
    found
}

fn unreadable<T>(
    installation: &Installation,
    key: &SecretKey,
    state: &SecretState<T>,
    component: Component,
) -> Option<Draft> {
    let SecretState::Unreadable(error) = state else {
        return None;
    };
    let (namespace, name) = (&installation.identity.namespace, &key.name);
    Some(Draft {
        code: Code::Forbidden,
        severity: Severity::Critical,
        component,
        message: format!("The operator could not read Secret {namespace}/{name}."),
        evidence: vec![error.clone()],
        remedy: format!(
            "Grant the operator's ServiceAccount the verb get on Secrets in {namespace} (the Helm chart does), or check that \
             the API server answers."
        ),
    })
}

/// Kinds that could not be listed: what they would have shown is not known.
pub(crate) fn unseen(not_seen: &[String]) -> Option<Draft> {
    (!not_seen.is_empty()).then(|| Draft {
        code: Code::Forbidden,
        severity: Severity::Critical,
        component: Component::Operator,
        message: "The operator cannot see everything that this installation consists of.".to_owned(),
        evidence: not_seen.to_vec(),
        remedy: "Let the operator's ServiceAccount list and watch these kinds (the Helm chart does), or check that the \
                 API server answers."
            .to_owned(),
    })
}

/// What to do about an object that the operator may not write.
pub(crate) fn remedy(kind: Kind, namespace: &str) -> String {
    let verbs = match kind {
        Kind::Secret => "get and create",
        Kind::StatefulSet => "get, create and patch",
        Kind::Job => "get, create and delete",
        _ => "get, create, patch and delete",
    };
    format!(
        "Grant its ServiceAccount the verbs {verbs} on {} in {namespace}; the Helm chart does.",
        kind.plural()
    )
}
