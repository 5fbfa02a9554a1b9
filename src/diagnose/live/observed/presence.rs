//! An installation that is not where it was said to be.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{diagnose::Tool, observe::Observation, validate::Installation};

pub(super) fn check(installation: &Installation, seen: &Observation) -> Option<Diagnosis> {
    if seen.api.is_some() {
        return None;
    }
    let namespace = &installation.identity.namespace;
    let (message, remedy) = match &installation.tool {
        Tool::Helm { release, .. } => (
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
    let evidence = if seen.releases.is_empty() {
        format!("no Deployment in namespace {namespace} has the labels of the official chart")
    } else {
        format!(
            "releases of the official chart in namespace {namespace}: {}",
            seen.releases.join(", ")
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
