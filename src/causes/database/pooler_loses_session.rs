//! A pooler gives each transaction another session of the server.

use crate::causes::{
    log::{
        failure::{CURSOR, FailureDetails, OF_SESSION},
        phrasing::{component, times, within},
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Database, include_str!("pooler_loses_session.md")) };

/// What was lost with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A cursor, by which Django reads many rows in pieces.
    Cursor,
    /// A prepared statement.
    Statement,
}

/// A migration has a cause of its own.
const SERVING: &[Stage] = &[Stage::Wait, Stage::Boot, Stage::Serve];

static LOG: Rule<Variant> = Rule {
    precedence: 345,
    signatures: &[
        Signature::of_database(Variant::Cursor, &[CURSOR]).stage(SERVING),
        Signature::of(Variant::Cursor).only_database().class(&["InvalidCursorName"]).stage(SERVING),
        Signature::of_database(Variant::Statement, &["prepared statement \""])
            .also(&["does not exist", "already exists"])
            .stage(SERVING),
        Signature::of(Variant::Statement)
            .only_database()
            .class(&["DuplicatePreparedStatement", "InvalidSqlStatementName"])
            .stage(SERVING),
        Signature::of(Variant::Statement).only_database().class(OF_SESSION).stage(SERVING),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let what = match variant {
        Variant::Cursor => "a server-side cursor",
        Variant::Statement => "a prepared statement",
    };
    Explanation::new(
        Code::DatabasePoolerLosesSession,
        format!(
            "{} lost {what} that it had made on the same connection ({}). A connection pooler in transaction mode gives each \
             transaction another session of the server; whatever reads many rows in pieces then fails.",
            component(evidence.component),
            times(occurrence.count),
        ),
        format!(
            "Let {} connect through a pool with pool_mode = session (PgBouncer: per database in [databases], or another port; \
             Supabase: port 5432 instead of 6543), or to PostgreSQL itself. Flagsmith has no setting that does without such cursors.",
            within(component(evidence.component))
        ),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::recognise;

    #[rstest]
    #[case(
        "psycopg2.errors.InvalidCursorName",
        "cursor \"_django_curs_139931_sync_2\" does not exist",
        Variant::Cursor
    )]
    #[case(
        "psycopg2.errors.InvalidCursorName",
        "Cursor »_django_curs_139931_sync_2« existiert nicht",
        Variant::Cursor
    )]
    #[case(
        "psycopg.errors.DuplicatePreparedStatement",
        "prepared statement \"_pg3_0\" already exists",
        Variant::Statement
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        let (code, details) = recognise(Stage::Serve, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (Code::DatabasePoolerLosesSession, Some(expected)));
        let migrating = recognise(Stage::Migrate, class, message).map(|(code, _)| code);
        assert_ne!(migrating, Some(Code::DatabasePoolerLosesSession));
    }
}
