//! The installation to observe is not there.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    applies: Applies::Observed,
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("installation_not_found.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    // What the operator makes itself is absent only until it has made it.
    let Some((message, remedy)) = installation.managed_by.not_found(&installation.identity.namespace) else {
        return Vec::new();
    };
    if observation.api.is_some() {
        return Vec::new();
    }
    let namespace = &installation.identity.namespace;
    let evidence = if observation.releases.is_empty() {
        format!("no Deployment in namespace {namespace} has the labels of the official chart")
    } else {
        format!(
            "releases of the official chart in namespace {namespace}: {}",
            observation.releases.join(", ")
        )
    };
    vec![Draft { message, evidence: vec![evidence], remedy, ..Code::InstallationNotFound.draft() }]
}
