//! A statement of the migration took too long.

use crate::causes::{
    migrations::shared::snippets::{MIGRATE, OLDEST_TRANSACTIONS, left, stopped},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    remedy_here: Some(remedy_here),
    ..Cause::critical(Component::Migrations, include_str!("statement_timeout.md"))
};

/// What ended the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A person, or a tool.
    Cancelled,
    /// `statement_timeout`.
    Statement,
    /// `transaction_timeout`.
    Transaction,
}

/// A standby's, which cancels what is in the way of replication.
const RECOVERY: &[&str] = &["conflict with recovery"];

static LOG: Rule<Variant> = Rule {
    precedence: 435,
    signatures: &[
        Signature::of_database(Variant::Cancelled, &["due to user request"]).stage(MIGRATE),
        Signature::of(Variant::Transaction)
            .only_database()
            .class(&["TransactionTimeout"])
            .stage(MIGRATE)
            .none(RECOVERY),
        Signature::of_database(Variant::Transaction, &["due to transaction timeout"])
            .stage(MIGRATE)
            .none(RECOVERY),
        Signature::of(Variant::Statement)
            .only_database()
            .class(&["QueryCanceled"])
            .stage(MIGRATE)
            .none(RECOVERY),
        Signature::of_database(Variant::Statement, &["due to statement timeout"])
            .stage(MIGRATE)
            .none(RECOVERY),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let parameter = match variant {
        Variant::Cancelled => None,
        Variant::Statement => Some("statement_timeout"),
        Variant::Transaction => Some("transaction_timeout"),
    };
    let how = parameter.map_or_else(
        || "was cancelled by a person (pg_cancel_backend), or by a tool that ends long queries".to_owned(),
        |parameter| format!("took longer than {parameter} allows and was cancelled"),
    );
    let remedy = parameter.map_or_else(
        || "Find out who cancels long statements on this server, then migrate again.".to_owned(),
        |parameter| longer(parameter, "its DATABASE_URL"),
    );
    Explanation::new(
        Code::MigrationStatementTimeout,
        stopped(evidence, occurrence, &format!("{how}; {}", left(occurrence))),
        remedy,
    )
}

/// `whither`: to which URL the option is to be appended.
fn longer(parameter: &str, whither: &str) -> String {
    format!(
        "Migrate with a longer limit, for the migration only: append ?options=-c%20{parameter}%3D0 to {whither}; where it is \
         set: SELECT source, sourcefile, setting FROM pg_settings WHERE name = '{parameter}'; If it did not compute but wait \
         for a lock: {OLDEST_TRANSACTIONS}"
    )
}

fn remedy_here(context: &Context<'_>, found: &Draft) -> Option<String> {
    let mut limits = ["statement_timeout", "transaction_timeout"].into_iter();
    let parameter = limits.find(|limit| found.remedy.contains(limit))?;
    context
        .installation
        .managed_by
        .is_operator()
        .then(|| longer(parameter, "a URL of its own, in a Secret that spec.database.migrationUrlFrom names"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{LOG, Variant};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code::MigrationStatementTimeout,
    };

    #[rstest]
    #[case(
        "psycopg2.errors.QueryCanceled",
        "canceling statement due to statement timeout",
        Variant::Statement
    )]
    #[case(
        "psycopg2.errors.TransactionTimeout",
        "terminating connection due to transaction timeout\nserver closed the connection unexpectedly",
        Variant::Transaction
    )]
    #[case("psycopg2.errors.QueryCanceled", "canceling statement due to user request", Variant::Cancelled)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] variant: Variant) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (MigrationStatementTimeout, Some(variant)));
        let elsewhere = recognise(Stage::Serve, class, message);
        assert_ne!(elsewhere.map(|(code, _)| code), Some(MigrationStatementTimeout));
    }
}
