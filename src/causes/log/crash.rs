//! A process that ended at its start with an exception that no other cause recognises.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::{Failure, FailureDetails, Stage, quoted_after};
use super::phrasing::component;
use super::{finding::Explanation, rule::Plain};
use crate::model::Code;

/// A process of the API or the task processor that ended with an exception nobody knows.
pub const CRASH_LOOPING: (Code, Plain) = (
    Code::CrashLooping,
    Plain {
        precedence: 905,
        last_resort: true,
        recognise: crash,
        explain: explain_crash,
        is_over: None,
    },
);

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

fn crash(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage != Stage::Boot || failure.class.is_empty() || failure.is(NOT_A_CRASH) {
        return None;
    }
    let message = failure.message.lines().next().unwrap_or_default();
    // environs: `Environment variable "GUNICORN_WORKERS" invalid: Not a valid integer.`
    if failure.is(&["EnvValidationError", "EnvError"])
        && let Some(variable) = quoted_after(message, &["variable "])
    {
        return Some(FailureDetails {
            object: Some(variable.to_owned()),
            detail: message
                .split_once("invalid: ")
                .map(|(_, why)| why.trim_end_matches('.').to_owned()),
            ..FailureDetails::form("variable")
        });
    }
    Some(
        FailureDetails::form("crash").object(
            format!("{}: {message}", failure.kind())
                .trim_end_matches(": ")
                .to_owned(),
        ),
    )
}

fn explain_crash(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let what = occurrence.details.object.as_deref().unwrap_or("an error");
    if occurrence.details.form == "variable" {
        let why = occurrence.details.detail.as_ref().map_or_else(
            || "is missing".to_owned(),
            |why| format!("has a value that it cannot have ({why})"),
        );
        return Explanation::new(
            Code::CrashLooping,
            format!(
                "{} cannot start: its environment variable {what} {why}.",
                component(case.component)
            ),
            format!("Correct {what} in the container's env, or remove it where its default will do."),
        );
    }
    Explanation::new(
        Code::CrashLooping,
        format!(
            "{} ended at its start with an error that this tool does not know: {what}.",
            component(case.component)
        ),
        "Read the traceback in the log from the line given: its last frames name the setting or file. ImproperlyConfigured, KeyError and ImportError point at environment variables or an own image; search for the message in Flagsmith's issues: https://github.com/Flagsmith/flagsmith/issues",
    )
}
