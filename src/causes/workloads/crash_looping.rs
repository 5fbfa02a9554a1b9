//! A container ends again and again.

use crate::{
    causes::{
        described,
        log::{failure::quoted_after, phrasing::component, timeline::ProcessTimeline},
        pods::{self, PodTrouble},
        prelude::*,
    },
    model::shell,
    observe::PodProblem,
};

pub(crate) static CAUSE: Cause = Cause {
    gives_way: GivesWay::InLogs,
    explains: &[
        Explains::from_api(consequences::WITHOUT_API),
        Explains::same_component(&[Code::ProbeFailing, Code::RolloutDeadlineExceeded]),
    ],
    log: &[&PORT, &UNKNOWN],
    in_logs: Some(|logs| in_logs(logs).or_else(|| described::crash_loop(logs, Code::CrashLooping))),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("crash_looping.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, in_pod)
}

fn in_pod(trouble: &PodTrouble<'_>) -> Option<Draft> {
    let name = &trouble.pod.name;
    let of = trouble.component.as_str();
    match trouble.problem {
        PodProblem::Waiting { reason, message, .. } if !pods::is_known_reason(reason) => {
            Some(trouble.critical(
                Code::CrashLooping,
                format!("A container of the {of} cannot be started: {reason}."),
                vec![format!("pod {name}: {message}")],
                trouble.kubectl("describe pod"),
            ))
        }
        PodProblem::CrashLoop { sidecar, restarts, exit_code, reason, message } => {
            let mut evidence = vec![format!(
                "pod {name}: restarted {}, last exit status {}{}",
                pods::restarted(*restarts),
                exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string()),
                reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default(),
            )];
            evidence.extend(message.as_deref().into_iter().flat_map(pods::tail));
            Some(trouble.critical(
                Code::CrashLooping,
                sidecar.as_ref().map_or_else(
                    || format!("The {of} starts and ends again and again."),
                    |it| {
                        format!("Container {it}, which is beside the {of}, starts and ends again and again.")
                    },
                ),
                evidence,
                match sidecar {
                    Some(it) => {
                        format!("{} -c {} --previous", trouble.kubectl("logs"), shell::name(it, "CONTAINER"))
                    }
                    None => format!("{} --previous", trouble.kubectl("logs")),
                },
            ))
        }
        _ => None,
    }
}

/// A port that another process has.
static PORT: Rule<()> = Rule {
    precedence: 135,
    signatures: &[Signature::of_words((), &["Connection in use: (", "EADDRINUSE"])],
    details: |failure, ()| {
        Some(FailureDetails::default().object(failure.message.lines().next().unwrap_or_default()))
    },
    explain: |evidence, occurrence, ()| {
        Explanation::new(
            Code::CrashLooping,
            format!(
                "{} cannot listen on its port because another process uses it: {}.",
                component(evidence.component),
                occurrence.details.object.as_deref().unwrap_or_default()
            ),
            "Two Flagsmith processes of one pod cannot share a port (8000 and 9100 are fixed): run them in pods of \
             their own, and without hostNetwork.",
        )
    },
    // Gunicorn tries the port five times.
    is_over: Some(|_, timeline, occurrence| Some(timeline.up > occurrence.last.line)),
};

/// Exceptions that are an orderly end, or that follow from another one.
const NOT_A_CRASH: &[&str] = &[
    "SystemExit",
    "KeyboardInterrupt",
    "CommandError",
    "HTTPError",
    "BrokenPipeError",
    "HaltServer",
    "TransactionManagementError",
    "InFailedSqlTransaction",
];

/// What ended a process at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// environs: `Environment variable "GUNICORN_WORKERS" invalid: Not a valid integer.`
    Variable,
    /// Anything else.
    Exception,
}

/// A process that ended at its start with an exception that no other cause recognises.
static UNKNOWN: Rule<End> = Rule {
    precedence: 905,
    signatures: &[
        Signature::of_words(End::Variable, &["variable "])
            .class(&["EnvValidationError", "EnvError"])
            .stage(&[Stage::Boot]),
        Signature::of_words(End::Exception, &[]).stage(&[Stage::Boot]),
    ],
    details,
    explain,
    is_over: Some(is_over),
};

fn details(failure: &Failure<'_>, end: End) -> Option<FailureDetails> {
    if failure.class.is_empty() || failure.is(NOT_A_CRASH) {
        return None;
    }
    let message = failure.message.lines().next().unwrap_or_default();
    match end {
        End::Variable => Some(FailureDetails {
            object: quoted_after(message, &["variable "]).map(str::to_owned),
            detail: message.split_once("invalid: ").map(|(_, why)| why.trim_end_matches('.').to_owned()),
            ..FailureDetails::default()
        }),
        End::Exception => Some(
            FailureDetails::default()
                .object(format!("{}: {message}", failure.kind()).trim_end_matches(": ").to_owned()),
        ),
    }
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, end: End) -> Explanation {
    let who = component(evidence.component);
    let what = occurrence.details.object.as_deref().unwrap_or("an error");
    match end {
        End::Variable => {
            let why = occurrence.details.detail.as_ref().map_or_else(
                || "is missing".to_owned(),
                |why| format!("has a value that it cannot have ({why})"),
            );
            Explanation::new(
                Code::CrashLooping,
                format!("{who} cannot start: its environment variable {what} {why}."),
                format!("Correct {what} in the container's env, or remove it if its default is fine."),
            )
        }
        End::Exception => Explanation::new(
            Code::CrashLooping,
            format!("{who} ended at its start with an error that this tool does not know: {what}."),
            "Read the traceback in the log from the line given: its last frames name the setting or file. \
             ImproperlyConfigured, KeyError and ImportError point at environment variables or a custom image; search for \
             the message in Flagsmith's issues: https://github.com/Flagsmith/flagsmith/issues",
        ),
    }
}

/// What an exception ended whose beginning is not in the log: a process only if nothing comes after it. The same for
/// every error of Node.js: Express prints the error of a request and goes on.
fn is_over(evidence: &LogEvidence, timeline: &ProcessTimeline, occurrence: &Occurrence) -> Option<bool> {
    let last = occurrence.last.line;
    let unknown_end = occurrence.torn || evidence.component == Component::Frontend;
    (unknown_end && timeline.last_line > last && timeline.node_ended < last).then_some(true)
}

/// Workers end at their start: the exception before it says why, unless the log begins behind it.
fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let location = logs.workers.failed_to_boot.as_ref()?;
    if logs.sources.iter().any(|source| source.life.served > location.line) {
        return None;
    }
    let explained = Explanation::new(
        Code::CrashLooping,
        "Gunicorn's workers end at their start; the log does not have the error that says why.",
        "Read the whole log of the container's last run: kubectl logs POD --previous",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::UNKNOWN;
    use crate::{
        causes::log::{
            failure::Stage,
            testing::{code, recognise},
        },
        model::Code,
    };

    #[rstest]
    #[case("", "Connection in use: ('0.0.0.0', 8000)")]
    #[case("", "listen EADDRINUSE: address already in use :::8080")]
    fn known_words(#[case] class: &str, #[case] message: &str) {
        assert_eq!(code(Stage::Boot, class, message), Some(Code::CrashLooping));
    }

    #[rstest]
    #[case(
        "environs.exceptions.EnvValidationError",
        "Environment variable \"GUNICORN_WORKERS\" invalid: Not a valid integer.",
        "Variable"
    )]
    #[case("environs.EnvError", "Environment variable \"ADMIN_EMAIL\" not set", "Variable")]
    #[case("django.core.exceptions.AppRegistryNotReady", "Apps aren't loaded yet.", "Exception")]
    fn what_no_other_cause_recognises(#[case] class: &str, #[case] message: &str, #[case] variant: &str) {
        let (code, details) = recognise(Stage::Boot, class, message).unwrap();
        let found = UNKNOWN.signatures[usize::from(details.signature)].variant;
        assert_eq!((code, format!("{found:?}").as_str()), (Code::CrashLooping, variant));
    }

    #[rstest]
    #[case("SystemExit", "1")]
    #[case("CommandError", "something")]
    fn an_orderly_end_is_no_crash(#[case] class: &str, #[case] message: &str) {
        assert_eq!(code(Stage::Boot, class, message), None);
    }
}
