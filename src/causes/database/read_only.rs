//! The database cannot be written.

use super::shared::reachable;
use crate::{
    causes::{
        log::phrasing::{at_migration, progress, who},
        prelude::*,
    },
    flagsmith::env,
    observe::{DatabaseProbe, Observation, ReadOnly},
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
    Explanation::new(Code::DatabaseReadOnly, message, ASK)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let Some((identity, _, Some(why))) = reachable(context) else {
        return Vec::new();
    };
    let (because, evidence, remedy) = match why {
        ReadOnly::Standby => (
            "the server is a standby or read replica",
            "SQL: pg_is_in_recovery() is true".to_owned(),
            format!(
                "Point {} at the primary (after a failover: at the new one). Where this server is to take writes itself: \
                 SELECT pg_promote();",
                context.spelled(env::DATABASE_URL, context.installation.database.url())
            ),
        ),
        ReadOnly::Setting { source, role } => (
            "default_transaction_read_only is on",
            format!("SQL: default_transaction_read_only is on, pg_settings.source is \"{source}\""),
            switched_off(source, role, &identity.name),
        ),
    };
    vec![Draft {
        message: format!("The database {identity} takes no writes: {because}."),
        evidence: vec![evidence],
        remedy,
        ..Code::DatabaseReadOnly.draft()
    }]
}

/// Who set it unsets it; a session that is open keeps it.
fn switched_off(source: &str, role: &str, database: &str) -> String {
    let (role, database) = (sql::identifier(role, "ROLE"), sql::identifier(database, "NAME"));
    let unset = match source {
        "user" => format!("ALTER ROLE {role} RESET default_transaction_read_only;"),
        "database" => format!("ALTER DATABASE {database} RESET default_transaction_read_only;"),
        "database user" => {
            format!("ALTER ROLE {role} IN DATABASE {database} RESET default_transaction_read_only;")
        }
        "global" => "ALTER ROLE ALL RESET default_transaction_read_only;".to_owned(),
        "client" => {
            return "Remove default_transaction_read_only from the options of the URL, or from PGOPTIONS."
                .to_owned();
        }
        // A managed server's own watchdog writes it there.
        _ => {
            return "Managed servers switch it on when their disk is nearly full: enlarge the disk. Otherwise, as a \
                    superuser: ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf(); or take it out of \
                    postgresql.conf."
                .to_owned();
        }
    };
    format!(
        "Switch it off where it is set: {unset} New connections obey it; those of the pods are a minute old at most (DJANGO_DB_CONN_MAX_AGE, 60 s unless set)."
    )
}

fn message(what: &str, refused: &str) -> String {
    format!(
        "{what}: the server is read-only{refused}. It is a standby or read replica, or default_transaction_read_only is on."
    )
}

/// A log does not tell the two apart.
const ASK: &str = "Ask the server, as Flagsmith's role: SELECT pg_is_in_recovery(), (SELECT source FROM pg_settings WHERE name = \
     'default_transaction_read_only' AND setting = 'on'); When the first is true, point DATABASE_URL at the primary (after a \
     failover: at the new one). The second says who has set it: user: ALTER ROLE ROLE RESET default_transaction_read_only; \
     database: ALTER DATABASE NAME RESET default_transaction_read_only; configuration file: often a server whose disk is \
     nearly full.";

/// Whether the operator has seen that writes are taken.
const fn takes_writes(observation: &Observation) -> bool {
    matches!(observation.database, DatabaseProbe::Reachable { read_only: None, .. })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

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
            (Code::DatabaseReadOnly, Some(Variant::Refused), Some("CREATE TABLE"))
        );
    }

    fn read_only(why: ReadOnly) -> Observation {
        Observation {
            database: DatabaseProbe::Reachable { version: 150_018, read_only: Some(why) },
            ..empty_observation()
        }
    }

    fn set_by(source: &str) -> ReadOnly {
        ReadOnly::Setting { source: source.to_owned(), role: "app".to_owned() }
    }

    #[rstest]
    #[case::standby(ReadOnly::Standby, "Point the key DATABASE_URL of Secret db at the primary")]
    #[case::role(set_by("user"), "ALTER ROLE app RESET")]
    #[case::database(set_by("database"), "ALTER DATABASE flags RESET")]
    #[case::role_in_database(set_by("database user"), "ALTER ROLE app IN DATABASE flags RESET")]
    #[case::url(set_by("client"), "Remove default_transaction_read_only from the options")]
    #[case::server(set_by("configuration file"), "ALTER SYSTEM RESET")]
    fn what_forbids_writes_is_lifted_where_it_is(#[case] why: ReadOnly, #[case] expected: &str) {
        let remedy = only(&read_only(why)).remedy;
        assert!(remedy.contains(expected), "{remedy}");
    }

    #[test]
    fn a_hostile_name_is_quoted() {
        let mut observation = Observation {
            database: DatabaseProbe::Reachable { version: 150_018, read_only: Some(set_by("database")) },
            ..empty_observation()
        };
        observation.secrets.database =
            SecretState::Present(DatabaseIdentity { name: "x\"; DROP TABLE t; --".to_owned(), ..database() });
        let remedy = only(&observation).remedy;
        assert!(remedy.contains("ALTER DATABASE \"x\"\"; DROP TABLE t; --\" RESET"), "{remedy}");
    }
}
