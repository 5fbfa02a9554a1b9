//! No pod of the task processor is ready.

use super::shared::{diagnosis::diagnosis, processors::processors, queue::waiting_anywhere};
use crate::{
    causes::{prelude::*, probes::said, steps::age},
    flagsmith::startup,
    model::shell,
    observe::{PodSummary, SecretState, database::QueueProbe},
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::everywhere(consequences::WITHOUT_PROCESSOR),
        Explains::same_component(&[Code::ProbeFailing, Code::RolloutDeadlineExceeded]),
    ],
    check: Some(|context| not_ready(context).into_iter().collect()),
    ..Cause::critical(Component::TaskProcessor, include_str!("processor_not_ready.md"))
};

/// What the pods themselves report is a diagnosis of its own; this is for those that run, report nothing and are
/// not ready all the same.
fn not_ready(context: &Context<'_>) -> Option<Draft> {
    let observation = context.observation;
    let state = observation.task_processor.as_ref()?;
    if context.installation.task_processor_replicas() == 0 || state.desired == 0 || state.ready > 0 {
        return None;
    }
    let pods: Vec<&PodSummary> = processors(observation).into_iter().filter(|pod| !pod.terminating).collect();
    if pods.iter().any(|pod| !pod.problems.is_empty()) {
        return None;
    }
    let (pod, runs) = pods.iter().find_map(|pod| {
        let runs = observation.now.duration_since(pod.started?);
        (runs > startup::READY_ON_A_BUSY_NODE).then_some((pod, runs))
    })?;
    let mut evidence =
        vec![format!("pod {}: running for {}, not ready: its readiness probe fails", pod.name, age(runs),)];
    evidence.extend(said(observation, pod));
    if let (Some(QueueProbe::NotProbed | QueueProbe::Failed(_)), Some(SecretState::Present(database))) =
        (&observation.queues.separate, &observation.secrets.task_processor_database)
    {
        evidence.push(format!(
            "the separate database of tasks, {database}, cannot be read by the operator either"
        ));
    }
    evidence.extend(waiting_anywhere(observation));
    Some(diagnosis(
        Code::TaskProcessorNotReady,
        Severity::Critical,
        format!("No pod of Deployment {} is ready, so no task may be run.", state.name),
        evidence,
        remedy(&context.installation.identity.namespace, &pod.name),
    ))
}

fn remedy(namespace: &str, pod: &str) -> String {
    let (namespace, pod) = (shell::name(namespace, "NAMESPACE"), shell::name(pod, "POD"));
    format!(
        "Flagsmith is ready when its database can be written to and has every migration of its release. See which of \
         these checks fails: kubectl -n {namespace} exec {pod} -- python3 -c \"import urllib.request as r; \
         print(r.urlopen('http://127.0.0.1:8000/health/readiness/?format=json').read())\"; and what it logs: \
         kubectl -n {namespace} logs {pod}"
    )
}

#[cfg(test)]
mod tests {
    use super::remedy;
    use crate::{
        causes::task_processor::shared::testing::{
            HOSTILE, NOW, assert_harmless, codes, found, processor, silent, with_queue,
        },
        model::Code,
        observe::{PodProblem, PodSummary, Warning},
    };

    #[test]
    fn a_processor_that_does_not_get_ready_is_told_unless_its_pods_say_why() {
        let mut observation = with_queue(silent);
        observation.task_processor.as_mut().unwrap().ready = 0;
        observation.pods[0].ready = false;
        observation.pod_logs.warnings = vec![Warning {
            pod: observation.pods[0].name.clone(),
            reason: "Unhealthy".to_owned(),
            message: "Readiness probe failed: HTTP probe failed with statuscode: 404".to_owned(),
        }];
        assert_eq!(codes(&observation), [Code::TaskProcessorNotReady]);
        let found = found(&observation);
        assert!(found[0].evidence[1].ends_with("statuscode: 404"), "{found:#?}");
        observation.pods[0].problems = vec![PodProblem::CrashLoop {
            sidecar: None,
            restarts: 3,
            exit_code: Some(1),
            reason: None,
            message: None,
        }];
        assert_eq!(codes(&observation), [Code::CrashLooping]);
        observation.pods = vec![PodSummary { ready: false, ..processor(NOW - 10) }];
        assert_eq!(codes(&observation), [], "it is starting");
    }

    #[test]
    fn a_hostile_name_is_not_repeated_in_a_command() {
        for hostile in HOSTILE {
            assert_harmless(&remedy(hostile, hostile), "");
        }
    }
}
