//! Requests are ended by a time limit of the database.

use crate::causes::{
    log::{
        failure::FailureDetails,
        phrasing::{component, times, within},
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Database, include_str!("statement_timeout.md")) };

/// Statements that are cancelled from which on they are told: one slow report happens.
const OFTEN: u64 = 2;

/// What ended the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// `statement_timeout`.
    Statement,
    /// `lock_timeout`.
    Lock,
    /// A person, or a tool.
    Cancelled,
}

/// Where nobody migrates: that has causes of its own.
const SERVING: &[Stage] = &[Stage::Boot, Stage::Serve];

static LOG: Rule<Variant> = Rule {
    precedence: 436,
    signatures: &[
        Signature::of_database(Variant::Lock, &["due to lock timeout"]).stage(SERVING),
        Signature::of(Variant::Lock)
            .class(&["LockNotAvailable"])
            .stage(SERVING)
            .none(&["could not obtain lock"]),
        Signature::of_database(Variant::Cancelled, &["due to user request"]).stage(SERVING),
        Signature::of_database(Variant::Statement, &["due to statement timeout"]).stage(SERVING),
        Signature::of(Variant::Statement).class(&["QueryCanceled"]).stage(SERVING),
    ],
    // What the loop of a task processor asks says more than the request of its health check.
    details: |failure, _| (failure.component != Component::TaskProcessor).then(FailureDetails::default),
    explain,
    is_over: Some(|_, _, occurrence| Some(occurrence.count < OFTEN)),
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let place =
        occurrence.place.as_ref().map_or_else(String::new, |place| format!(" (the first at {place})"));
    let often = times(occurrence.count);
    let who = within(component(evidence.component));
    let (how, remedy) = match variant {
        Variant::Statement => (
            "it took longer than statement_timeout allows",
            "See what is slow: SELECT now() - query_start AS since, wait_event_type, left(query, 120) FROM pg_stat_activity WHERE \
             state = 'active' ORDER BY 1 DESC LIMIT 10; and EXPLAIN (ANALYZE, BUFFERS) it. After a restore or an upgrade of \
             PostgreSQL run ANALYZE; first: without statistics every plan is a guess. Where the limit is set: SELECT source, \
             sourcefile, setting FROM pg_settings WHERE name = 'statement_timeout'; for Flagsmith's role alone: ALTER ROLE \
             ROLE SET statement_timeout = '30s';",
        ),
        Variant::Lock => (
            "it waited for a lock longer than lock_timeout allows",
            "See who holds it: SELECT pid, pg_blocking_pids(pid), state, left(query, 80) FROM pg_stat_activity WHERE \
             cardinality(pg_blocking_pids(pid)) > 0; a migration or an open transaction. End the holder with SELECT \
             pg_terminate_backend(PID); where it is none of Flagsmith's.",
        ),
        Variant::Cancelled => (
            "somebody cancelled it (pg_cancel_backend), a person or a tool that ends long queries",
            "Find out who cancels long statements on this server; then see what was slow: SELECT now() - query_start, \
             left(query, 120) FROM pg_stat_activity WHERE state = 'active' ORDER BY 1 DESC LIMIT 10;",
        ),
    };
    Explanation::new(
        Code::DatabaseStatementTimeout,
        format!(
            "The database ended a statement of {who} {often}: {how}{place}. Each of those requests failed."
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::recognise;

    #[rstest]
    #[case(
        "psycopg2.errors.QueryCanceled",
        "canceling statement due to statement timeout",
        Variant::Statement
    )]
    #[case(
        "psycopg2.errors.QueryCanceled",
        "storniere Anfrage wegen Zeitüberschreitung der Anfrage",
        Variant::Statement
    )]
    #[case("psycopg2.errors.QueryCanceled", "canceling statement due to user request", Variant::Cancelled)]
    #[case("psycopg2.errors.LockNotAvailable", "canceling statement due to lock timeout", Variant::Lock)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        let (code, details) = recognise(Stage::Serve, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (Code::DatabaseStatementTimeout, Some(expected)));
        let migrating = recognise(Stage::Migrate, class, message);
        assert_ne!(migrating.map(|(code, _)| code), Some(Code::DatabaseStatementTimeout));
    }
}
