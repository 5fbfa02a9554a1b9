//! The migration waited for somebody else and was stopped.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage};
use crate::causes::log::phrasing::{progress, the_migration};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;

pub const MIGRATION_LOCK_TIMEOUT: (Code, Plain) = (
    Code::MigrationLockTimeout,
    Plain {
        precedence: 430,
        last_resort: false,
        recognise: lock_timeout,
        explain: explain_lock_timeout,
        is_over: None,
    },
);
pub const MIGRATION_STATEMENT_TIMEOUT: (Code, Plain) = (
    Code::MigrationStatementTimeout,
    Plain {
        precedence: 435,
        last_resort: false,
        recognise: statement_timeout,
        explain: explain_statement_timeout,
        is_over: None,
    },
);
pub const MIGRATION_DEADLOCK: (Code, Plain) = (
    Code::MigrationDeadlock,
    Plain {
        precedence: 440,
        last_resort: false,
        recognise: deadlock,
        explain: explain_deadlock,
        is_over: None,
    },
);

const HOLDERS: &str = "SELECT pid, application_name, state, xact_start, left(query, 80) FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start LIMIT 10;";

/// What an index that is built CONCURRENTLY leaves behind; other migrations are rolled back as a whole.
fn left(occurrence: &Occurrence) -> &'static str {
    if occurrence.concurrent_index {
        "it builds an index CONCURRENTLY, so an invalid one may be left (SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid; then DROP INDEX)"
    } else {
        "nothing of it was applied"
    }
}

fn lock_timeout(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage != Stage::Migrate {
        return None;
    }
    if failure.is(&["LockNotAvailable"]) || failure.is_database() && failure.says("due to lock timeout") {
        let form = if failure.says("could not obtain lock") {
            "nowait"
        } else {
            "timeout"
        };
        let detail = failure
            .message
            .lines()
            .find(|line| line.contains("relation") || line.starts_with("CONTEXT"));
        return Some(FailureDetails {
            form,
            detail: detail.map(str::to_owned),
            ..FailureDetails::default()
        });
    }
    None
}

fn explain_lock_timeout(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let how = if occurrence.details.form == "nowait" {
        "needs a lock that another session holds, and does not wait for it"
    } else {
        "waited for a lock that another session holds, for as long as lock_timeout allows, and gave up"
    };
    Explanation::new(
        Code::MigrationLockTimeout,
        format!(
            "{} {how}; {}.{}",
            the_migration(case, occurrence),
            left(occurrence),
            progress(case, occurrence)
        ),
        format!(
            "While it waits, see who holds the lock: SELECT pid, pg_blocking_pids(pid), wait_event_type, left(query, 80) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0; or the oldest transactions: {HOLDERS} End the holder (SELECT pg_terminate_backend(PID);) or stop the task processor for the upgrade, then migrate again. lock_timeout is set in DATABASE_URL (?options=-c%20lock_timeout%3D…) or for the role."
        ),
    )
}

fn statement_timeout(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage != Stage::Migrate || !failure.is_database() {
        return None;
    }
    if failure.says("due to user request") {
        return Some(FailureDetails::form("cancelled"));
    }
    if failure.says("conflict with recovery") {
        return None;
    }
    let timeout = failure.is(&["QueryCanceled", "TransactionTimeout"])
        || failure.says_any(&["due to statement timeout", "due to transaction timeout"]);
    timeout.then(|| {
        FailureDetails::form(if failure.says("transaction timeout") {
            "transaction_timeout"
        } else {
            "statement_timeout"
        })
    })
}

fn explain_statement_timeout(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let the_migration = the_migration(case, occurrence);
    let progress = progress(case, occurrence);
    if occurrence.details.form == "cancelled" {
        return Explanation::new(
            Code::MigrationStatementTimeout,
            format!(
                "{the_migration} was cancelled by somebody (pg_cancel_backend, or a tool that ends long queries); {}.{progress}",
                left(occurrence)
            ),
            "Find out who cancels long statements on this server, then migrate again.",
        );
    }
    let parameter = occurrence.details.form;
    Explanation::new(
        Code::MigrationStatementTimeout,
        format!(
            "{the_migration} took longer than {parameter} allows and was cancelled; {}.{progress}",
            left(occurrence)
        ),
        format!(
            "Migrate with a longer limit, for the migration only: append ?options=-c%20{parameter}%3D0 to its DATABASE_URL; where it is set: SELECT source, sourcefile, setting FROM pg_settings WHERE name = '{parameter}'; If it did not compute but wait for a lock: {HOLDERS}"
        ),
    )
}

fn deadlock(failure: &Failure<'_>) -> Option<FailureDetails> {
    let found =
        failure.is(&["DeadlockDetected"]) || failure.is_database() && failure.says("deadlock detected");
    (failure.stage == Stage::Migrate && found).then(|| FailureDetails {
        detail: failure
            .message
            .lines()
            .find(|line| line.contains("AccessExclusiveLock"))
            .map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain_deadlock(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    Explanation::new(
        Code::MigrationDeadlock,
        format!(
            "{} and another session waited for each other's locks; PostgreSQL ended the migration to let the other one go on. Nothing of this migration was applied.{}",
            the_migration(case, occurrence),
            progress(case, occurrence)
        ),
        "Migrate again; it rarely happens twice. Stop the task processor for the time (it is the usual other side), and see that no second migration runs.",
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::code;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "psycopg2.errors.LockNotAvailable",
        "canceling statement due to lock timeout",
        MigrationLockTimeout
    )]
    #[case(
        "psycopg2.errors.LockNotAvailable",
        "storniere Anfrage wegen Zeitüberschreitung einer Sperre",
        MigrationLockTimeout
    )]
    #[case(
        "django.db.utils.OperationalError",
        "canceling statement due to lock timeout",
        MigrationLockTimeout
    )]
    #[case(
        "psycopg2.errors.QueryCanceled",
        "canceling statement due to statement timeout",
        MigrationStatementTimeout
    )]
    #[case(
        "psycopg2.errors.TransactionTimeout",
        "terminating connection due to transaction timeout\nserver closed the connection unexpectedly",
        MigrationStatementTimeout
    )]
    #[case(
        "psycopg2.errors.QueryCanceled",
        "canceling statement due to user request",
        MigrationStatementTimeout
    )]
    #[case(
        "psycopg2.errors.DeadlockDetected",
        "deadlock detected\nDETAIL:  Process 1 waits for AccessExclusiveLock on relation 2 of database 3; blocked by process 4.",
        MigrationDeadlock
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code) {
        assert_eq!(code(Stage::Migrate, class, message), Some(expected));
        assert_ne!(code(Stage::Serve, class, message), Some(expected));
    }
}
