//! Whether the operator may do what it does. It is asked at the start, because a right that is missing shows itself
//! otherwise only when it is needed: in the middle of an upgrade.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview};
use kube::{Api, Client, api::PostParams};

use super::{Gate, Readiness};
use crate::{model::child::Kind, observe::Scope};

/// How often it is asked again what was refused: roles and their bindings may come after the operator.
const RETRY: Duration = Duration::from_secs(5);

/// Questions at once: few, because both replicas ask at the start, when the caches are filled too.
const AT_ONCE: usize = 4;

/// How many refused rights are named; with none at all there are dozens.
const NAMED: usize = 5;

const READ: &[&str] = &["list", "watch"];
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
/// It holds data: the operator never deletes it.
const KEPT: &[&str] = &["get", "list", "watch", "create", "patch"];
/// Created once, and never changed.
const ONCE: &[&str] = &["get", "list", "watch", "create", "delete"];

/// What the operator is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It makes installations.
    Manage,
    /// It only looks at them; with or without their databases.
    Observe {
        /// Whether it looks into databases.
        databases: bool,
    },
}

/// A verb on a resource of a watched namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
}

impl Right {
    /// `VERB RESOURCE[/SUBRESOURCE][.GROUP]`, as roles name it.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { verb, group, resource, subresource } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let dot = if group.is_empty() { "" } else { "." };
        format!("{verb} {resource}{slash}{subresource}{dot}{group}")
    }
}

/// A right, and the namespace in which it is needed; `None`: in all.
type Needed = (Right, Option<String>);

/// Everything that the operator does in a watched namespace, as the chart's role has it.
#[must_use]
pub fn rights(purpose: Purpose) -> BTreeSet<Right> {
    let manages = purpose == Purpose::Manage;
    let own = "operator.flagsmith.com";
    let mut rights = BTreeSet::new();
    let mut add = |group, resource, subresource, verbs: &'static [&'static str]| {
        rights.extend(verbs.iter().map(|verb| Right { verb, group, resource, subresource }));
    };
    add(own, "flagsmithdeployments", "", READ);
    add(own, "flagsmithdeployments", "status", &["patch"]);
    for kind in Kind::ALL {
        let verbs = match kind {
            _ if !manages => READ,
            Kind::StatefulSet => KEPT,
            Kind::Job => ONCE,
            _ => OWN,
        };
        add(kind.group(), kind.plural(), "", verbs);
    }
    match purpose {
        Purpose::Manage => add("", "secrets", "", &["get", "create", "patch"]),
        Purpose::Observe { databases: true } => add("", "secrets", "", &["get"]),
        Purpose::Observe { databases: false } => {}
    }
    add("", "configmaps", "", &["get"]);
    add("", "pods", "", READ);
    add("", "pods", "log", &["get"]);
    add("", "events", "", &["list"]);
    add("events.k8s.io", "events", "", &["create", "patch"]);
    rights
}

/// Asks until the operator has every right in every namespace of its scope, and says in `/readyz` what it lacks.
pub async fn check(client: Client, scope: &Scope, purpose: Purpose, readiness: &Readiness) {
    let mut missing: Vec<Needed> = Vec::new();
    for namespace in scope.each() {
        missing.extend(rights(purpose).into_iter().map(|right| (right, namespace.map(str::to_owned))));
    }
    let mut said = String::new();
    loop {
        let reason = match refused(&client, &missing).await {
            Ok(refused) if refused.is_empty() => {
                readiness.open(Gate::Rights);
                return;
            }
            Ok(refused) => {
                missing = refused;
                phrase(&missing)
            }
            Err(error) => format!("the API server does not say what the operator may do: {error}"),
        };
        if said != reason {
            tracing::warn!(reason, "the operator is not ready");
            said.clone_from(&reason);
        }
        readiness.close(Gate::Rights, reason);
        tokio::time::sleep(RETRY).await;
    }
}

/// Those of the rights that the operator does not have.
async fn refused(client: &Client, rights: &[Needed]) -> Result<Vec<Needed>, kube::Error> {
    let asking: Vec<_> = rights.iter().map(|needed| is_granted(client.clone(), needed.clone())).collect();
    let mut answers = stream::iter(asking).buffered(AT_ONCE);
    let mut refused = Vec::new();
    while let Some(answer) = answers.next().await {
        let (needed, granted) = answer?;
        refused.extend((!granted).then_some(needed));
    }
    Ok(refused)
}

/// The right, and whether the operator has it; an error where nobody answers.
async fn is_granted(client: Client, needed: Needed) -> Result<(Needed, bool), kube::Error> {
    let (Right { verb, group, resource, subresource }, namespace) = &needed;
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    let mut review = SelfSubjectAccessReview::default();
    review.spec.resource_attributes = Some(ResourceAttributes {
        verb: text(verb),
        group: text(group),
        resource: text(resource),
        subresource: text(subresource),
        namespace: namespace.clone(),
        ..ResourceAttributes::default()
    });
    let answer = Api::all(client).create(&PostParams::default(), &review).await?;
    Ok((needed, answer.status.is_some_and(|status| status.allowed)))
}

fn phrase(refused: &[Needed]) -> String {
    let place = |namespace: Option<&String>| namespace.map(|it| format!(" in {it}")).unwrap_or_default();
    let named: Vec<_> = refused
        .iter()
        .take(NAMED)
        .map(|(right, namespace)| format!("{}{}", right.name(), place(namespace.as_ref())))
        .collect();
    let more = match refused.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("its roles do not allow: {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(purpose: Purpose) -> Vec<String> {
        rights(purpose).iter().map(Right::name).collect()
    }

    #[test]
    fn who_only_looks_needs_to_write_only_what_was_seen() {
        let writes: Vec<_> = names(Purpose::Observe { databases: false })
            .into_iter()
            .filter(|name| !["get ", "list ", "watch "].iter().any(|verb| name.starts_with(verb)))
            .collect();
        assert_eq!(
            writes,
            [
                "create events.events.k8s.io",
                "patch events.events.k8s.io",
                "patch flagsmithdeployments/status.operator.flagsmith.com"
            ]
        );
    }

    #[test]
    fn secrets_are_read_only_for_databases() {
        let of_secrets = |purpose| {
            let names = names(purpose).into_iter();
            names.filter(|name| name.ends_with(" secrets")).collect::<Vec<_>>()
        };
        assert_eq!(of_secrets(Purpose::Manage), ["create secrets", "get secrets", "patch secrets"]);
        assert_eq!(of_secrets(Purpose::Observe { databases: true }), ["get secrets"]);
        assert_eq!(of_secrets(Purpose::Observe { databases: false }), [""; 0]);
    }

    #[test]
    fn what_is_refused_is_named_and_where() {
        let right = |verb| Right { verb, group: "apps", resource: "deployments", subresource: "" };
        let refused = [(right("list"), Some("team-a".to_owned())), (right("watch"), None)];
        assert_eq!(
            phrase(&refused),
            "its roles do not allow: list deployments.apps in team-a, watch deployments.apps"
        );
        let many = vec![(right("list"), None); 7];
        assert!(phrase(&many).ends_with("list deployments.apps, and 2 more"), "{}", phrase(&many));
    }
}
