//! Which of an installation's objects go when they are not among the wanted ones. Pure.

use crate::{
    decide::Plan,
    model::{Component, child::Kind},
    validate::Installation,
};

/// Whether an owned object that is not among the wanted ones may be deleted. Never a `StatefulSet` (it holds data),
/// never the Deployments of API and task processor (they always belong), and Jobs only when they are superseded.
#[must_use]
pub fn removable(installation: &Installation, plan: &Plan, kind: Kind, name: &str) -> bool {
    let (frontend, edge_proxy) = (&installation.frontend, installation.edge_proxy.as_ref());
    let belongs_to_none = |wanted: &[(Component, bool)]| {
        wanted
            .iter()
            .any(|(component, is_wanted)| !is_wanted && name == installation.child(component.as_str()))
    };
    match kind {
        Kind::StatefulSet | Kind::Secret => false,
        Kind::Job => plan.superseded_jobs.iter().any(|job| job == name),
        Kind::Deployment => belongs_to_none(&[
            (Component::Frontend, frontend.enabled),
            (Component::EdgeProxy, edge_proxy.is_some()),
        ]),
        // Before there is an API there is none either, although one is wanted.
        Kind::PodDisruptionBudget => belongs_to_none(&[
            (Component::Api, installation.api.pod_disruption_budget.enabled),
            (Component::Frontend, frontend.enabled && frontend.pod_disruption_budget.enabled),
            (Component::EdgeProxy, edge_proxy.is_some_and(|spec| spec.pod_disruption_budget.enabled)),
        ]),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        decide::decide,
        fixtures::{empty_observation, installation, spec},
    };

    /// What belongs to a component goes with it, and a budget also where none is wanted; what holds data never does.
    #[rstest]
    #[case(json!({}), Kind::Deployment, "flagsmith-api", false)]
    #[case(json!({}), Kind::Deployment, "flagsmith-frontend", false)]
    #[case(json!({ "frontend": { "enabled": false } }), Kind::Deployment, "flagsmith-frontend", true)]
    #[case(json!({}), Kind::Deployment, "flagsmith-edge-proxy", true)]
    #[case(json!({}), Kind::PodDisruptionBudget, "flagsmith-api", false)]
    #[case(json!({}), Kind::PodDisruptionBudget, "flagsmith-edge-proxy", true)]
    #[case(json!({ "frontend": { "enabled": false } }), Kind::PodDisruptionBudget, "flagsmith-frontend", true)]
    #[case(json!({ "frontend": { "enabled": false } }), Kind::PodDisruptionBudget, "flagsmith-api", false)]
    #[case(json!({ "api": { "podDisruptionBudget": { "enabled": false } } }), Kind::PodDisruptionBudget, "flagsmith-api", true)]
    #[case(json!({}), Kind::Ingress, "flagsmith-edge-proxy", true)]
    #[case(json!({}), Kind::StatefulSet, "flagsmith-database", false)]
    #[case(json!({}), Kind::Secret, "flagsmith-django", false)]
    fn removes_what_is_not_wanted(
        #[case] changes: Value,
        #[case] kind: Kind,
        #[case] name: &str,
        #[case] expected: bool,
    ) {
        let installation = installation(&spec(changes));
        let plan = decide(&installation, &empty_observation(), &[]);
        assert_eq!(removable(&installation, &plan, kind, name), expected);
    }
}
