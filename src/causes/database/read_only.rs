//! The database cannot be written.

use super::shared::reachable;
use crate::{
    causes::{
        log::phrasing::{at_migration, progress, who},
        prelude::*,
    },
    observe::{DatabaseProbe, Observation},
    postgres::sql,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_DATABASE)],
    log: &[&LOG],
    refuted: Some(takes_writes),
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("read_only.md"))
};

/// How it shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// With target_session_attrs=read-write libpq looks for a server that takes writes, and finds none.
    NoneTakesWrites,
    /// A statement was refused.
    Refused,
}

static LOG: Rule<Variant> = Rule {
    precedence: 360,
    signatures: &[
        Signature::of_words(
            Variant::NoneTakesWrites,
            &["session is read-only", "server is in hot standby mode"],
        )
        .all(&["connection to server "]),
        Signature::of(Variant::Refused).class(&["ReadOnlySqlTransaction"]),
        Signature::of_database(Variant::Refused, &["in a read-only transaction"]),
    ],
    details,
    explain,
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let statement = failure
        .message
        .split_once("cannot execute ")
        .and_then(|(_, rest)| rest.split_once(" in a read-only"));
    Some(FailureDetails {
        object: statement.map(|(statement, _)| statement.to_owned()),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, _: Variant) -> Explanation {
    let statement = occurrence.details.object.as_deref();
    let mut message = message(
        &format!(
            "{} cannot write to its database{}",
            who(evidence, occurrence),
            at_migration(evidence, occurrence)
        ),
        &statement.map_or_else(String::new, |statement| format!(" ({statement} was refused)")),
    );
    if occurrence.stage == Stage::Migrate {
        message.push_str(&progress(evidence, occurrence));
    }
    Explanation::new(Code::DatabaseReadOnly, message, remedy(None))
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let Some((identity, _, true)) = reachable(context) else {
        return Vec::new();
    };
    vec![Draft {
        message: message(&format!("The database {identity} takes no writes"), ""),
        evidence: vec!["SQL: pg_is_in_recovery() or default_transaction_read_only is on".to_owned()],
        remedy: remedy(Some(&identity.name)),
        ..Code::DatabaseReadOnly.draft()
    }]
}

fn message(what: &str, refused: &str) -> String {
    format!(
        "{what}: the server is read-only{refused}. It is a standby or read replica, or default_transaction_read_only is on."
    )
}

fn remedy(database: Option<&str>) -> String {
    format!(
        "Ask the server: SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'); when the first \
         is true, point DATABASE_URL at the primary (after a failover: at the new one); when the second is on: ALTER \
         DATABASE {} RESET default_transaction_read_only; and the same for the role.",
        sql::identifier(database.unwrap_or_default(), "NAME")
    )
}

/// Whether the operator has seen that writes are taken.
const fn takes_writes(observation: &Observation) -> bool {
    matches!(
        observation.database,
        DatabaseProbe::Reachable { read_only: false, .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::{database::shared::testing::only, log::testing::recognise};
    use crate::fixtures::{database, empty_observation};
    use crate::observe::SecretState;
    use crate::postgres::DatabaseIdentity;

    #[test]
    fn recognises() {
        let message = "cannot execute CREATE TABLE in a read-only transaction";
        let (code, details) =
            recognise(Stage::Migrate, "psycopg2.errors.ReadOnlySqlTransaction", message).unwrap();
        assert_eq!(
            (code, LOG.variant(&details), details.object.as_deref()),
            (
                Code::DatabaseReadOnly,
                Some(Variant::Refused),
                Some("CREATE TABLE")
            )
        );
    }

    #[test]
    fn a_hostile_name_is_quoted() {
        let mut observation = Observation {
            database: DatabaseProbe::Reachable {
                version: 150_018,
                read_only: true,
            },
            ..empty_observation()
        };
        observation.secrets.database = SecretState::Present(DatabaseIdentity {
            name: "x\"; DROP TABLE t; --".to_owned(),
            ..database()
        });
        let remedy = only(&observation).remedy;
        assert!(
            remedy.contains("ALTER DATABASE \"x\"\"; DROP TABLE t; --\" RESET"),
            "{remedy}"
        );
    }
}
