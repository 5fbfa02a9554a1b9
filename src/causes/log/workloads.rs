//! The container, its command line and its neighbours.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::{Failure, FailureDetails, Stage};
use super::phrasing::component;
use super::{finding::Explanation, rule::Plain};
use crate::model::{Code, Component, Severity};

pub const CAUSES: &[(Code, Plain)] = &[
    (
        Code::GunicornWorkerClassUnavailable,
        Plain {
            precedence: 110,
            last_resort: false,
            recognise: worker_class,
            explain: explain_worker_class,
            is_over: None,
        },
    ),
    (
        Code::GunicornSettingsIgnored,
        Plain {
            precedence: 115,
            last_resort: false,
            recognise: arguments,
            explain: explain_arguments,
            is_over: None,
        },
    ),
    (
        Code::UnsupportedVersion,
        Plain {
            precedence: 120,
            last_resort: false,
            recognise: version,
            explain: explain_version,
            is_over: None,
        },
    ),
    (
        Code::ContainerOutOfMemory,
        Plain {
            precedence: 130,
            last_resort: false,
            recognise: memory,
            explain: explain_memory,
            is_over: None,
        },
    ),
];

fn worker_class(failure: &Failure<'_>) -> Option<FailureDetails> {
    let message = failure.message;
    if let Some((_, rest)) = message.split_once("class uri ") {
        if !rest.contains("invalid or not found") {
            return None;
        }
        return Some(FailureDetails::default().object(super::failure::unquote(rest).unwrap_or("unknown")));
    }
    let (name, _) = message.split_once(" worker requires ")?;
    let name = name.rsplit([' ', ':']).next().unwrap_or(name);
    Some(FailureDetails::default().object(name))
}

fn explain_worker_class(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let class = occurrence.details.object.as_deref().unwrap_or("unknown");
    Explanation::new(
        Code::GunicornWorkerClassUnavailable,
        format!(
            "Gunicorn does not start: the image does not have the worker class \"{class}\" that it is told to use."
        ),
        "Remove --worker-class (also from GUNICORN_CMD_ARGS): Flagsmith's image has sync and gthread only, and chooses gthread by itself when GUNICORN_THREADS is above 1.",
    )
}

fn arguments(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (before, rest) = failure.message.split_once("error: ")?;
    let (form, arguments) = rest
        .strip_prefix("unrecognized arguments: ")
        .map(|arguments| ("unknown", arguments))
        .or_else(|| Some(("value", rest.strip_prefix("argument ")?)))?;
    let command = before.trim_end_matches(": ").trim();
    (command.starts_with("flagsmith") || command.contains("manage.py") || command.starts_with("gunicorn"))
        .then(|| FailureDetails {
            object: Some(arguments.to_owned()),
            detail: Some(command.to_owned()),
            form,
            ..FailureDetails::default()
        })
}

fn explain_arguments(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let arguments = occurrence.details.object.as_deref().unwrap_or_default();
    let process = if case.component == Component::TaskProcessor {
        "task-processor"
    } else {
        "api"
    };
    if occurrence.details.form == "value" {
        return Explanation::new(
            Code::GunicornSettingsIgnored,
            format!(
                "{} does not start: its command line has an argument with a value that it cannot have ({}).",
                component(case.component),
                arguments.trim_end_matches('.')
            ),
            "Correct that value in the container's args.",
        )
        .with(Severity::Critical);
    }
    Explanation::new(
        Code::GunicornSettingsIgnored,
        format!("{} does not start: its command line has {arguments} where that is not accepted. Gunicorn's flags stand between \"start\" and the sub-command; \"serve\" takes none.", component(case.component)),
        format!("Set the container's args to [\"start\", \"--timeout\", \"60\", \"--keep-alive\", \"75\", \"{process}\"], with your flags in that place, and its command to [\"flagsmith\"]."),
    )
    .with(Severity::Critical)
}

fn version(failure: &Failure<'_>) -> Option<FailureDetails> {
    let missing = failure.says("flagsmith")
        && failure.says_any(&[
            "executable file not found in $PATH",
            "flagsmith: not found",
            "flagsmith: command not found",
        ]);
    let verb = failure.says("ERROR: unrecognised command");
    (missing || verb).then(|| FailureDetails::form(if missing { "cli" } else { "verb" }))
}

fn explain_version(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let (what, since) = if occurrence.details.form == "cli" {
        ("the command \"flagsmith\"", "2.170.0")
    } else {
        ("the command that it is started with", "2.51.0")
    };
    Explanation::new(
        Code::UnsupportedVersion,
        format!("The image does not know {what}: it is older than {since}."),
        "Use an image of 2.170.0 or later, or the args of the older one: [\"serve\"], [\"migrate\"], [\"run-task-processor\"] with the image's own entry point.",
    )
}

/// The form of a container that ended with SIGKILL, as Docker Compose tells it.
pub(super) const KILLED_CONTAINER: &str = "container";

fn memory(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage == Stage::Migrate {
        return None;
    }
    let line = failure.message.trim();
    let form = if failure.is_killed_container() {
        KILLED_CONTAINER
    } else if failure.says("JavaScript heap out of memory") {
        "node"
    } else if failure.is(&["MemoryError"]) {
        "python"
    } else if failure.class.is_empty()
        && (line == "Killed"
            || line.contains(": ") && line.contains(" Killed ")
            || line.contains("OOMKilled"))
    {
        "killed"
    } else {
        return None;
    };
    Some(FailureDetails::form(form))
}

fn explain_memory(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = component(case.component);
    let (message, remedy) = match occurrence.details.form {
        "node" => (
            "The frontend ended because Node.js had used up its heap.",
            "Raise the memory limit of the frontend's container and set NODE_OPTIONS=--max-old-space-size=(three quarters of it, in MiB).",
        ),
        "python" => (
            "got no more memory from its container.",
            "Raise the memory limit of its container, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle.",
        ),
        KILLED_CONTAINER => (
            "was ended with SIGKILL (exit status 137): by the kernel when it goes over its memory limit, or by somebody who stopped or killed the container.",
            "If nobody stopped it, raise the memory limit of its container, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle. Confirm: docker inspect -f '{{.State.OOMKilled}}' CONTAINER",
        ),
        _ => (
            "was ended by the kernel (SIGKILL), which nearly always means that it went over its memory limit.",
            "Raise the memory limit of its container, or lower GUNICORN_WORKERS: each process needs 190 to 220 MiB idle. Confirm: kubectl get pod POD -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}' says OOMKilled.",
        ),
    };
    let message = if occurrence.details.form == "node" {
        message.to_owned()
    } else {
        format!("{who} {message}")
    };
    Explanation::new(Code::ContainerOutOfMemory, message, remedy)
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "RuntimeError",
        "class uri 'gevent' invalid or not found:",
        GunicornWorkerClassUnavailable,
        ""
    )]
    #[case(
        "RuntimeError",
        "gevent worker requires gevent 1.4 or higher",
        GunicornWorkerClassUnavailable,
        ""
    )]
    #[case(
        "",
        "flagsmith start: error: unrecognized arguments: --timeout 60",
        GunicornSettingsIgnored,
        "unknown"
    )]
    #[case(
        "",
        "flagsmith start task-processor: error: argument --numthreads: invalid int value: 'many'",
        GunicornSettingsIgnored,
        "value"
    )]
    #[case(
        "",
        "exec: \"flagsmith\": executable file not found in $PATH: unknown",
        UnsupportedVersion,
        "cli"
    )]
    #[case("", "ERROR: unrecognised command 'start'", UnsupportedVersion, "verb")]
    #[case("MemoryError", "", ContainerOutOfMemory, "python")]
    #[case(
        "",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        ContainerOutOfMemory,
        "node"
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code, #[case] form: &str) {
        let (code, details) = recognise(Stage::Boot, class, message).unwrap();
        assert_eq!((code, details.form), (expected, form));
    }
}
