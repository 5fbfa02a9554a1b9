//! A Deployment that has run is gone, and nothing makes it again.

use crate::{causes::prelude::*, model::Diagnosis, observe::Observation, validate::Installation};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("deployment_missing.md"))
};

/// An operator that may act makes it again within its next pass.
fn check(context: &Context<'_>) -> Vec<Draft> {
    if context.installation.suspended {
        missing(context.installation, context.observation)
    } else {
        Vec::new()
    }
}

/// The Deployments that are gone, for whoever looks and cannot make them.
#[must_use]
pub fn missing_deployments(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    missing(installation, observation).into_iter().map(Diagnosis::from).collect()
}

fn missing(installation: &Installation, observation: &Observation) -> Vec<Draft> {
    // Before the first API was ready there was nothing that could be gone.
    if !installation.managed_by.is_operator() || observation.previous.version.is_none() {
        return Vec::new();
    }
    let parts = [
        (Component::Api, observation.api.is_none(), Severity::Critical),
        (Component::TaskProcessor, observation.task_processor.is_none(), Severity::Critical),
        (
            Component::Frontend,
            installation.frontend.enabled && observation.frontend.is_none(),
            Severity::Warning,
        ),
        (
            Component::EdgeProxy,
            installation.edge_proxy.is_some() && observation.edge_proxy.is_none(),
            Severity::Warning,
        ),
    ];
    let gone = parts.into_iter().filter(|(_, gone, _)| *gone);
    gone.map(|(component, _, severity)| draft(installation, component, severity)).collect()
}

fn draft(installation: &Installation, component: Component, severity: Severity) -> Draft {
    let identity = &installation.identity;
    let name = format!("{}-{}", identity.name, component.as_str());
    let (why, remedy) = if installation.suspended {
        (
            "none is made while spec.suspend is true",
            "Set spec.suspend: false; the operator then makes it as it was.",
        )
    } else {
        (
            "no operator is there to make it again",
            "Start the operator, or have it look after this namespace; it then makes it as it was.",
        )
    };
    Draft {
        code: Code::DeploymentMissing,
        severity,
        component,
        message: format!("There is no Deployment {name}: nothing of it runs, and {why}."),
        evidence: vec![format!(
            "namespace {}: no Deployment of component {} of {}",
            identity.namespace,
            component.as_str(),
            identity.name
        )],
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{
        api::FlagsmithDeploymentStatus,
        causes::diagnose,
        fixtures::{empty_observation, installation, rolled_out, spec},
    };

    #[rstest]
    #[case::suspended(true, Some("2.265.0"), &[Component::Api])]
    #[case::the_operator_makes_it(false, Some("2.265.0"), &[])]
    #[case::never_installed(true, None, &[])]
    fn what_nobody_makes_again_is_told(
        #[case] suspend: bool,
        #[case] ran: Option<&str>,
        #[case] expected: &[Component],
    ) {
        let installation = installation(&spec(json!({ "suspend": suspend })));
        let observation = Observation {
            task_processor: Some(rolled_out("flagsmith-task-processor".to_owned(), 1)),
            frontend: Some(rolled_out("flagsmith-frontend".to_owned(), 1)),
            previous: FlagsmithDeploymentStatus {
                version: ran.map(str::to_owned),
                ..FlagsmithDeploymentStatus::default()
            },
            ..empty_observation()
        };
        let found: Vec<Component> = diagnose(&installation, &observation)
            .into_iter()
            .filter(|it| it.code == Code::DeploymentMissing)
            .map(|it| it.component)
            .collect();
        assert_eq!(found, expected);
    }
}
