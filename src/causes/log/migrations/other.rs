//! The migration process was ended from outside, or failed for a reason that no other rule knows.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage};
use crate::causes::log::phrasing::{progress, the_migration};
use crate::causes::log::timeline::ProcessTimeline;
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::causes::sigkill::{self, is_exit_status};
use crate::model::Code;

pub const MIGRATION_OUT_OF_MEMORY: (Code, Plain) = (
    Code::MigrationOutOfMemory,
    Plain {
        precedence: 470,
        last_resort: false,
        recognise: memory,
        explain: explain_memory,
        is_over: Some(is_over),
    },
);
pub const MIGRATION_FAILED: (Code, Plain) = (
    Code::MigrationFailed,
    Plain {
        precedence: 900,
        last_resort: true,
        recognise: other,
        explain: explain_other,
        is_over: None,
    },
);

/// The form of a container that ended with SIGKILL, as Docker Compose tells it.
const KILLED_CONTAINER: &str = "container";

fn memory(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage != Stage::Migrate {
        return None;
    }
    let line = failure.message.trim();
    // A shell that waits for the process says `line 12:    34 Killed    flagsmith migrate`.
    let killed =
        failure.class.is_empty() && (line == "Killed" || line.contains(": ") && line.contains(" Killed "));
    let form = if is_exit_status(failure) {
        KILLED_CONTAINER
    } else if failure.is(&["MemoryError"]) {
        "python"
    } else if killed || line.contains("OOMKilled") {
        "killed"
    } else {
        return None;
    };
    Some(FailureDetails::form(form))
}

/// Of the exit status the timeline of the container tells whether it is one.
fn is_over(_: &LogEvidence, timeline: &ProcessTimeline, occurrence: &Occurrence) -> Option<bool> {
    (occurrence.details.form == KILLED_CONTAINER).then(|| !sigkill::was_at_work(timeline))
}

fn explain_memory(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    if occurrence.details.form == KILLED_CONTAINER {
        return Explanation::new(
            Code::MigrationOutOfMemory,
            format!(
                "{} was ended with SIGKILL (exit status 137): by the kernel when it goes over its memory limit, or by somebody who stopped or killed the container.{}",
                the_migration(case, occurrence),
                progress(case, occurrence)
            ),
            "If nobody stopped it, raise the memory limit of the migration's container (a data migration may need more than 1 GiB on large tables); then migrate again. Confirm: docker inspect -f '{{.State.OOMKilled}}' CONTAINER",
        );
    }
    let how = if occurrence.details.form == "python" {
        "got no more memory"
    } else {
        "was ended by the kernel (SIGKILL), which nearly always means that it went over its memory limit"
    };
    Explanation::new(
        Code::MigrationOutOfMemory,
        format!(
            "{} {how}.{}",
            the_migration(case, occurrence),
            progress(case, occurrence)
        ),
        "Raise the memory limit of the migration's container (a data migration may need more than 1 GiB on large tables), then migrate again. Confirm: kubectl get pod POD -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}' says OOMKilled.",
    )
}

/// Wrappers that only repeat what was said before, or that end a process in good order.
const NOT_A_CAUSE: &[&str] = &[
    "InFailedSqlTransaction",
    "TransactionManagementError",
    "SystemExit",
    "KeyboardInterrupt",
    "HTTPError",
];

fn other(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage != Stage::Migrate || failure.class.is_empty() || failure.is(NOT_A_CAUSE) {
        return None;
    }
    if failure.says_any(&["current transaction is aborted", "Failed to connect to DB within"]) {
        return None;
    }
    if is_of_session(failure) {
        return Some(
            FailureDetails::form("session").object(failure.message.lines().next().unwrap_or_default()),
        );
    }
    // Warnings stand there as well; the numbers of errors have an E.
    if failure.is(&["SystemCheckError"])
        && let Some(error) = failure
            .message
            .lines()
            .find(|line| line.contains('(') && line.contains(".E"))
    {
        return Some(FailureDetails::default().object(format!(
            "{}: {}",
            failure.kind(),
            error.trim_start_matches("?: ")
        )));
    }
    let mut lines = failure.message.lines();
    let message = lines.next().unwrap_or_default();
    let hint = lines.find_map(|line| line.trim().strip_prefix("HINT:"));
    let details = FailureDetails::default().object(
        format!("{}: {message}", failure.kind())
            .trim_end_matches(": ")
            .to_owned(),
    );
    Some(FailureDetails {
        detail: hint.map(|hint| hint.trim().to_owned()),
        ..details
    })
}

/// Whether something is missing that belongs to a session: SQLSTATE 34000, 26000, 3B001. It was there on the
/// connection before.
pub(super) fn is_of_session(failure: &Failure<'_>) -> bool {
    failure.is(&[
        "InvalidCursorName",
        "InvalidSqlStatementName",
        "InvalidSavepointSpecification",
    ]) || failure.is_database() && failure.says("does not exist") && failure.says("_django_curs_")
}

fn explain_other(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let what = occurrence
        .details
        .object
        .as_deref()
        .map_or("an error", |what| what.trim_end_matches('.'));
    if occurrence.details.form == "session" {
        return Explanation::new(
            Code::MigrationFailed,
            format!(
                "{} failed: {what}, although this connection had made it. A connection pooler in transaction mode gives each transaction another session of the server.{}",
                the_migration(case, occurrence),
                progress(case, occurrence)
            ),
            "Let migrations connect to PostgreSQL itself, not through the pooler (jobs.migrateDb.databaseUrl in the Helm chart, spec.database.migrationUrlFrom in the operator), or through a pool with pool_mode = session.",
        );
    }
    let hint = occurrence
        .details
        .detail
        .as_ref()
        .map(|hint| format!("PostgreSQL's own hint: {hint} "))
        .unwrap_or_default();
    Explanation::new(
        Code::MigrationFailed,
        format!(
            "{} failed with an error that this tool does not know: {what}.{}",
            the_migration(case, occurrence),
            progress(case, occurrence)
        ),
        format!(
            "{hint}Read the traceback in the log from the line given. Nothing of this migration was applied, unless it builds an index CONCURRENTLY. Search for the message in Flagsmith's issues: https://github.com/Flagsmith/flagsmith/issues"
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::code;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case("MemoryError", "", Some(MigrationOutOfMemory))]
    #[case("", "Killed", Some(MigrationOutOfMemory))]
    #[case(
        "",
        "./scripts/run-docker.sh: line 12:    34 Killed                  python manage.py migrate",
        Some(MigrationOutOfMemory)
    )]
    #[case("", "Killed by nobody", None)]
    #[case("ValueError", "bad data", Some(MigrationFailed))]
    #[case(
        "psycopg2.errors.InFailedSqlTransaction",
        "current transaction is aborted, commands ignored until end of transaction block",
        None
    )]
    #[case(
        "CommandError",
        "Failed to connect to DB within 5 seconds.",
        Some(DatabaseUnreachable)
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Option<Code>) {
        assert_eq!(code(Stage::Migrate, class, message), expected);
    }
}
