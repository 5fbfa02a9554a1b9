//! An installation that is not where it was said to be.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    observe::Observation,
    validate::{Installation, ManagedBy},
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    if observation.api.is_some() {
        return None;
    }
    let namespace = &installation.identity.namespace;
    let (message, remedy) = match &installation.managed_by {
        ManagedBy::Helm { release, .. } => (
            format!("No API of a Helm release {release} of the official chart is in namespace {namespace}."),
            format!(
                "See which releases there are: helm list -n {namespace}; then name one in spec.observe.release, or the Deployments in spec.observe.components if another chart made them."
            ),
        ),
        _ => (
            format!(
                "No Deployment in namespace {namespace} is the one that spec.observe.components.api names."
            ),
            format!(
                "See which there are: kubectl -n {namespace} get deployments --show-labels; then correct name or selector."
            ),
        ),
    };
    let evidence = if observation.releases.is_empty() {
        format!("no Deployment in namespace {namespace} has the labels of the official chart")
    } else {
        format!(
            "releases of the official chart in namespace {namespace}: {}",
            observation.releases.join(", ")
        )
    };
    Some(diagnosis(
        Code::InstallationNotFound,
        Severity::Critical,
        Component::Api,
        message,
        vec![evidence],
        remedy,
    ))
}

/// An image whose tag is no release, or that is named by a digest: what is known of single releases is not used then.
pub(super) fn release(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let api = observation.api.as_ref().filter(|_| observation.release_assumed)?;
    let identity = &installation.identity;
    // A release of the chart that the command line looks at has no resource.
    let told = if identity.uid.is_empty() {
        "set spec.version of a FlagsmithDeployment that observes it".to_owned()
    } else {
        format!(
            "tell it: kubectl -n {} patch fsd {} --type merge -p '{{\"spec\":{{\"version\":\"RELEASE\"}}}}'",
            identity.namespace, identity.name
        )
    };
    Some(diagnosis(
        Code::ReleaseUnknown,
        Severity::Info,
        Component::Api,
        format!(
            "Which release of Flagsmith runs is not known, so it is taken for {}, the oldest that the operator knows: what goes wrong in later releases only is not named.",
            installation.release
        ),
        vec![format!(
            "Deployment {}: the tag of image {} is no release",
            api.name,
            api.image.as_deref().unwrap_or("(none)")
        )],
        format!(
            "See which it is: kubectl -n {0} exec deployment/{1} -- python -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/version/').read().decode())\"; then {told}, or give the images a tag that names it.",
            identity.namespace, api.name
        ),
    ))
}

/// Kinds that could not be listed: what they would have shown is not known.
#[must_use]
pub fn unseen(not_seen: &[String]) -> Option<Diagnosis> {
    (!not_seen.is_empty()).then(|| {
        diagnosis(
            Code::Forbidden,
            Severity::Critical,
            Component::Operator,
            "The operator cannot see everything that this installation consists of.".to_owned(),
            not_seen.to_vec(),
            "Let the operator's ServiceAccount get, list and watch these kinds (the Helm chart does), or check that the API server answers.".to_owned(),
        )
    })
}
