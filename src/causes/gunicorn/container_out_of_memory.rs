//! A container was killed for lack of memory.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        log::{
            evidence::{LogEvidence, Occurrence},
            failure::{Failure, FailureDetails, Stage},
            finding::Explanation,
            phrasing,
            rule::{Plain, Rule, Signature},
        },
        sigkill,
    },
    flagsmith::env,
    model::{Code, Component, Diagnosis, Severity},
    observe::PodSummary,
    validate::{Change, Installation},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::GunicornWorkerOutOfMemory, Code::GunicornWorkerKilled]),
    ],
    log: &[&EXIT_STATUS, &LOG],
    ..Cause::new(include_str!("container_out_of_memory.md"))
};

/// The memory limit where there is none that can be read: what Flagsmith's documentation recommends.
const RECOMMENDED: &str = "2Gi";

/// What each process of Gunicorn needs (measured, Flagsmith 2.265.0).
const OF_A_WORKER: &str = "190 to 220 MiB idle";

/// Who says that there was no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    /// Docker Compose, by the exit status alone.
    ExitStatus,
    /// Node.js.
    Node,
    /// Python.
    Python,
    /// A shell or the runtime.
    Killed,
}

/// Of the exit status the timeline of the container tells whether it is one.
static EXIT_STATUS: Plain = Plain {
    precedence: 130,
    last_resort: false,
    recognise: |failure| {
        let killed = failure.stage != Stage::Migrate && sigkill::is_exit_status(failure);
        killed.then(FailureDetails::default)
    },
    explain: |logs, _| explain(logs, Witness::ExitStatus),
    is_over: Some(|_, timeline, _| Some(!sigkill::was_at_work(timeline))),
};

/// Whoever fails while it migrates has a cause of its own.
const STAGES: &[Stage] = &[Stage::Wait, Stage::Boot, Stage::Serve];

static LOG: Rule<Witness> = Rule {
    precedence: 130,
    last_resort: false,
    signatures: &[
        Signature {
            stage: STAGES,
            ..Signature::of_words(Witness::Node, &["JavaScript heap out of memory"])
        },
        Signature {
            stage: STAGES,
            class: &["MemoryError"],
            ..Signature::of(Witness::Python)
        },
        Signature {
            stage: STAGES,
            ..Signature::of_words(Witness::Killed, &["Killed"])
        },
    ],
    details,
    explain: |logs: &LogEvidence, _: &Occurrence, witness| explain(logs, witness),
    is_over: None,
};

fn details(failure: &Failure<'_>, witness: Witness) -> Option<FailureDetails> {
    let shown = match witness {
        Witness::ExitStatus | Witness::Node | Witness::Python => true,
        Witness::Killed => sigkill::is_line(failure),
    };
    shown.then(FailureDetails::default)
}

fn explain(logs: &LogEvidence, witness: Witness) -> Explanation {
    let who = phrasing::component(logs.component);
    let more = |raise: &str| {
        format!(
            "{raise} the memory limit of its container, or lower GUNICORN_WORKERS: each process needs {OF_A_WORKER}."
        )
    };
    let (message, remedy) = match witness {
        Witness::Node => (
            "The frontend ended because Node.js had used up its heap.".to_owned(),
            "Raise the memory limit of the frontend's container and set NODE_OPTIONS=--max-old-space-size=(three \
             quarters of it, in MiB)."
                .to_owned(),
        ),
        Witness::Python => (
            format!("{who} got no more memory from its container."),
            more("Raise"),
        ),
        Witness::ExitStatus => (
            format!(
                "{who} was ended with SIGKILL (exit status 137): by the kernel when it goes over its memory limit, \
                 or because the container was stopped or killed."
            ),
            format!(
                "{} Confirm: {}",
                more("Unless it was stopped on purpose, raise"),
                sigkill::CONFIRM_WITH_DOCKER
            ),
        ),
        Witness::Killed => (
            format!(
                "{who} was ended by the kernel (SIGKILL), which nearly always means that it went over its memory \
                 limit."
            ),
            format!(
                "{} Confirm: {} says OOMKilled.",
                more("Raise"),
                sigkill::CONFIRM_WITH_KUBECTL
            ),
        ),
    };
    Explanation::new(Code::ContainerOutOfMemory, message, remedy)
}

/// What the status of a pod says: `OOMKilled`. `restarted` is how often, in words.
pub(crate) fn of_pod(
    installation: &Installation,
    component: Component,
    pod: &PodSummary,
    restarted: &str,
    limit: Option<&str>,
) -> Diagnosis {
    let managed_by = &installation.managed_by;
    let more = match component {
        // The chart's value for it and the field of the resource are not those of a component.
        Component::Database => "Raise resources.limits.memory of this component".to_owned(),
        _ => managed_by.change(&[Change::Memory(component, &doubled(limit))]),
    };
    let fewer = match component {
        Component::Api | Component::TaskProcessor => managed_by.setting(component, env::GUNICORN_WORKERS),
        _ => None,
    };
    let fewer = fewer.map_or_else(String::new, |setting| {
        format!(", or lower {setting}: each process needs {OF_A_WORKER}")
    });
    Diagnosis {
        code: Code::ContainerOutOfMemory,
        severity: if pod.ready {
            Severity::Warning
        } else {
            Severity::Critical
        },
        component,
        message: format!(
            "A container of the {} was killed because it used more memory than its limit.",
            component.as_str()
        ),
        evidence: vec![format!(
            "pod {}: OOMKilled, restarted {restarted}, limit {}",
            pod.name,
            limit.unwrap_or("none: the node itself had no memory left"),
        )],
        remedy: format!("{more}{fewer}."),
    }
}

/// Twice a memory limit.
fn doubled(limit: Option<&str>) -> String {
    let parts = limit.and_then(|limit| {
        let digits = limit.find(|it: char| !it.is_ascii_digit()).unwrap_or(limit.len());
        let (number, unit) = limit.split_at_checked(digits)?;
        let plain = unit.chars().all(|it| it.is_ascii_alphabetic());
        let twice = number.parse::<u64>().ok()?.checked_mul(2)?;
        plain.then(|| format!("{twice}{unit}"))
    });
    parts.unwrap_or_else(|| RECOMMENDED.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        causes::log::rule::LogRule,
        fixtures::{installation, minimal},
        validate::ManagedBy,
    };

    #[rstest]
    #[case::python("MemoryError", "", Some(Witness::Python))]
    #[case::node(
        "",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        Some(Witness::Node)
    )]
    #[case::compose("", " exited with code 137", Some(Witness::ExitStatus))]
    #[case::a_shell("", "Killed", Some(Witness::Killed))]
    #[case::a_script(
        "",
        "run-docker.sh: line 12:    34 Killed     flagsmith start api",
        Some(Witness::Killed)
    )]
    #[case::the_kubelet("", "Last state: Terminated, reason OOMKilled", Some(Witness::Killed))]
    #[case::of_a_request("", "Killed the feature", None)]
    #[case::of_an_exception("ValueError", "Killed", None)]
    fn its_witnesses(#[case] class: &str, #[case] message: &str, #[case] expected: Option<Witness>) {
        let at = |stage| {
            let failure = Failure {
                class,
                message,
                component: Component::Api,
                stage,
                migration: None,
            };
            let known = EXIT_STATUS.recognise(&failure).map(|_| Witness::ExitStatus);
            known.or_else(|| {
                let details = LOG.recognise(&failure)?;
                Some(LOG.signatures[usize::from(details.signature)].variant)
            })
        };
        assert_eq!(at(Stage::Serve), expected);
        assert_eq!(at(Stage::Migrate), None, "a migration has a cause of its own");
    }

    fn remedy(managed_by: ManagedBy, component: Component, limit: Option<&str>) -> String {
        let installation = Installation {
            managed_by,
            ..installation(&minimal())
        };
        let pod = PodSummary {
            name: "flagsmith-api-abc".to_owned(),
            ..PodSummary::default()
        };
        of_pod(&installation, component, &pod, "once", limit).remedy
    }

    #[test]
    fn its_owner_is_told_what_to_type() {
        let chart = ManagedBy::Helm {
            release: "acme".to_owned(),
            chart: None,
            namespace: "prod".to_owned(),
        };
        assert_eq!(
            remedy(ManagedBy::Operator, Component::Api, Some("512Mi")),
            "Set spec.api.resources.limits.memory: 1024Mi, or lower spec.api.gunicorn.workers: each process needs 190 to 220 MiB idle."
        );
        assert_eq!(
            remedy(ManagedBy::Operator, Component::TaskProcessor, None),
            "Set spec.taskProcessor.resources.limits.memory: 2Gi.",
            "the operator decides how many workers it has"
        );
        assert_eq!(
            remedy(chart, Component::TaskProcessor, Some("1Gi")),
            "helm upgrade acme flagsmith/flagsmith --namespace prod --reuse-values --set taskProcessor.resources.limits.memory=2Gi, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle."
        );
    }
}
