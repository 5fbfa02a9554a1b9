//! The server is there, but full, read-only, too old, or behind a pooler that does not pass everything.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage, quoted_after};
use crate::causes::log::phrasing::{at, at_migration, component, identifier, progress, role, who, within};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;
use crate::postgres::phrases::Phrase;

pub const DATABASE_POOLER_REJECTS_OPTIONS: (Code, Plain) = (
    Code::DatabasePoolerRejectsOptions,
    Plain {
        precedence: 310,
        last_resort: false,
        recognise: pooler,
        explain: explain_pooler,
        is_over: None,
    },
);
pub const DATABASE_VERSION_UNSUPPORTED: (Code, Plain) = (
    Code::DatabaseVersionUnsupported,
    Plain {
        precedence: 315,
        last_resort: false,
        recognise: version,
        explain: explain_version,
        is_over: None,
    },
);
pub const DATABASE_CONNECTIONS_EXHAUSTED: (Code, Plain) = (
    Code::DatabaseConnectionsExhausted,
    Plain {
        precedence: 320,
        last_resort: false,
        recognise: exhausted,
        explain: explain_exhausted,
        is_over: None,
    },
);
pub const DATABASE_READ_ONLY: (Code, Plain) = (
    Code::DatabaseReadOnly,
    Plain {
        precedence: 360,
        last_resort: false,
        recognise: read_only,
        explain: explain_read_only,
        is_over: None,
    },
);
pub const DATABASE_DISK_FULL: (Code, Plain) = (
    Code::DatabaseDiskFull,
    Plain {
        precedence: 365,
        last_resort: false,
        recognise: disk_full,
        explain: explain_disk_full,
        is_over: None,
    },
);

fn pooler(failure: &Failure<'_>) -> Option<FailureDetails> {
    // RDS Proxy's words for the same parameter.
    if failure.is_database() && failure.says("support command-line options") {
        return Some(FailureDetails {
            endpoint: failure.endpoint(),
            ..FailureDetails::form("rds")
        });
    }
    let (_, rest) = failure.message.split_once("unsupported startup parameter")?;
    let parameter = rest
        .trim_start_matches(" in options")
        .trim_start_matches(':')
        .lines()
        .next()?
        .trim();
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        object: Some(parameter.trim_matches('"').to_owned()),
        ..FailureDetails::default()
    })
}

fn explain_pooler(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let parameter = occurrence.details.object.as_deref().unwrap_or("options");
    let rds = occurrence.details.form == "rds";
    let message = format!(
        "{} is refused by the connection pooler at {}: {} does not pass on the startup parameter \"{parameter}\" of DATABASE_URL.",
        who(case, occurrence),
        occurrence.details.endpoint,
        if rds { "RDS Proxy" } else { "PgBouncer" },
    );
    if rds {
        return Explanation::new(
            Code::DatabasePoolerRejectsOptions,
            message,
            "Let migrations connect to PostgreSQL itself, not through the proxy. Or remove ?options=… from DATABASE_URL and set it for the role: ALTER ROLE ROLE SET lock_timeout = '5s';",
        );
    }
    let remedy = format!(
        "Let migrations connect to PostgreSQL itself, not through the pooler. Or remove ?options=… from DATABASE_URL and set it for the role: ALTER ROLE ROLE SET lock_timeout = '5s'; or add {parameter} to the pooler's ignore_startup_parameters (it then has no effect)."
    );
    Explanation::new(Code::DatabasePoolerRejectsOptions, message, remedy)
}

fn version(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (needed, rest) = failure.message.split_once(" or later is required (found ")?;
    let found = rest.split(')').next()?.trim().trim_end_matches('.');
    Some(FailureDetails {
        object: Some(needed.trim().to_owned()),
        detail: Some(found.to_owned()),
        ..FailureDetails::default()
    })
}

fn explain_version(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let found = occurrence.details.detail.as_deref().unwrap_or("an older one");
    let needed = occurrence.details.object.as_deref().unwrap_or("PostgreSQL 14");
    Explanation::new(
        Code::DatabaseVersionUnsupported,
        format!(
            "{} cannot work with this database: it is version {found}, and this release of Flagsmith needs {needed} or later (its Django refuses older ones since Flagsmith 2.212.1).",
            component(case.component)
        ),
        "Upgrade PostgreSQL (pg_upgrade, or the managed database's version upgrade), or stay on Flagsmith 2.211.x until then.",
    )
}

fn exhausted(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let mut details = FailureDetails {
        endpoint: failure.endpoint(),
        ..FailureDetails::default()
    };
    if let Some(role) = failure.phrase(Phrase::TooManyForRole) {
        details.form = "role";
        details.role = Some(role.to_owned());
    } else if let Some(database) = failure.phrase(Phrase::TooManyForDatabase) {
        details.form = "database";
        details.database = Some(database.to_owned());
    } else if failure.says("query_wait_timeout") {
        details.form = "pooler-wait";
    } else if failure.says("acquire database connection") {
        details.form = "pooler-borrow";
    } else if failure.says("couldn't get a connection after ") {
        details.form = "own-pool";
    } else if failure.says_any(&[
        "no more connections allowed",
        "max client connections",
        "Max client connections",
        "max clients reached",
        "MaxClientsInSessionMode",
        "client_login_timeout",
    ]) {
        details.form = "pooler";
    } else if failure.phrase(Phrase::TooManyClients).is_some()
        || failure.phrase(Phrase::SlotsReserved).is_some()
        || failure.is(&["TooManyConnections"])
    {
        details.form = "server";
    } else {
        return None;
    }
    Some(details)
}

fn explain_exhausted(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = who(case, occurrence);
    let details = &occurrence.details;
    let needs = "Flagsmith needs about pods × GUNICORN_WORKERS × GUNICORN_THREADS connections per database for the API and 2 × threads + workers for each task processor.";
    let (message, remedy) = match details.form {
        "role" => (
            format!(
                "{who} gets no database connection: {} has used up its own connection limit.",
                role(details.role.as_deref())
            ),
            format!(
                "ALTER ROLE {} CONNECTION LIMIT -1; (or a number that is enough). {needs}",
                details
                    .role
                    .as_deref()
                    .map_or_else(|| "ROLE".to_owned(), identifier)
            ),
        ),
        "database" => (
            format!(
                "{who} gets no database connection: the database \"{}\" has reached its own connection limit.",
                details.database.as_deref().unwrap_or_default()
            ),
            format!(
                "ALTER DATABASE {} CONNECTION LIMIT -1; (or a number that is enough). {needs}",
                details
                    .database
                    .as_deref()
                    .map_or_else(|| "DATABASE".to_owned(), identifier)
            ),
        ),
        "pooler-wait" => (
            format!(
                "{who} waited in vain for a database connection from the connection pooler at {}: either all of its connections to the server are in use, or it cannot reach the server behind it. PgBouncer says query_wait_timeout in both cases; its own log separates them.",
                details.endpoint
            ),
            format!(
                "On the pooler's admin console: SHOW POOLS; with sv_active at the pool's size raise default_pool_size or max_db_connections, or run fewer workers; with no server connection at all correct or start the server that its [databases] section names. {needs}"
            ),
        ),
        "pooler-borrow" => (
            format!(
                "{who} waited in vain for a database connection from the connection pooler at {}: all that it may open to the server are in use, or the server does not answer it.",
                details.endpoint
            ),
            format!(
                "On RDS Proxy compare the metrics DatabaseConnections and MaxDatabaseConnectionsAllowed: when they meet raise MaxConnectionsPercent (or max_connections of the instance), or run fewer workers; when they do not, look at the proxy's log. {needs}"
            ),
        ),
        "own-pool" => (
            format!(
                "{who} waited in vain for a connection from its own connection pool (psycopg_pool): all of them are in use, or the database does not answer."
            ),
            format!(
                "Raise max_size of the pool, or see what keeps its connections: SELECT pid, state, wait_event_type, now() - state_change, left(query, 80) FROM pg_stat_activity ORDER BY 4 DESC; {needs}"
            ),
        ),
        "pooler" => (
            format!(
                "{who} gets no database connection from the connection pooler at {}: all of its connections are in use.",
                details.endpoint
            ),
            format!(
                "Raise the number of clients that it takes (PgBouncer: max_client_conn), or run fewer workers. {needs}"
            ),
        ),
        _ => (
            format!(
                "{who} gets no database connection: all connections that PostgreSQL{} allows are in use (max_connections).",
                at(&details.endpoint)
            ),
            format!(
                "See who has them: SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC; then lower replicas, GUNICORN_WORKERS or GUNICORN_THREADS, raise max_connections, or put PgBouncer between. {needs}"
            ),
        ),
    };
    Explanation::new(Code::DatabaseConnectionsExhausted, message, remedy)
}

fn read_only(failure: &Failure<'_>) -> Option<FailureDetails> {
    // With target_session_attrs=read-write libpq looks for a server that takes writes, and finds none.
    let unwritable = failure.says("connection to server ")
        && failure.says_any(&["session is read-only", "server is in hot standby mode"]);
    if !(unwritable
        || failure.is(&["ReadOnlySqlTransaction"])
        || failure.is_database() && failure.says("in a read-only transaction"))
    {
        return None;
    }
    let statement = failure
        .message
        .split_once("cannot execute ")
        .and_then(|(_, rest)| rest.split_once(" in a read-only"));
    Some(FailureDetails {
        object: statement.map(|(statement, _)| statement.to_owned()),
        ..FailureDetails::default()
    })
}

fn explain_read_only(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let statement = occurrence
        .details
        .object
        .as_deref()
        .map_or(String::new(), |statement| format!(" ({statement} was refused)"));
    let message = format!(
        "{} cannot write to its database{}: the server is read-only{statement}. It is a standby or read replica, or default_transaction_read_only is on.{}",
        who(case, occurrence),
        at_migration(case, occurrence),
        if occurrence.stage == Stage::Migrate {
            progress(case, occurrence)
        } else {
            String::new()
        },
    );
    Explanation::new(
        Code::DatabaseReadOnly,
        message,
        "Ask the server: SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'); when the first is true, point DATABASE_URL at the primary (after a failover: at the new one); when the second is on: ALTER DATABASE NAME RESET default_transaction_read_only; and the same for the role.",
    )
}

fn disk_full(failure: &Failure<'_>) -> Option<FailureDetails> {
    let full = failure.is(&["DiskFull"]) || failure.is_database() && failure.says("No space left on device");
    let memory = failure.says_any(&["shared memory segment", "/PostgreSQL."]);
    full.then(|| FailureDetails {
        form: if memory { "shared-memory" } else { "" },
        object: quoted_after(failure.message, &["file "]).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain_disk_full(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    if occurrence.details.form == "shared-memory" {
        return Explanation::new(
            Code::DatabaseDiskFull,
            format!(
                "The database server's shared memory (/dev/shm) is full; {} could not run a query that PostgreSQL works on in parallel{}. Its disk need not be full.",
                within(who(case, occurrence)),
                at_migration(case, occurrence),
            ),
            "Give the PostgreSQL container more than the 64 MiB that container runtimes give: in Kubernetes an emptyDir with medium: Memory at /dev/shm, in Docker --shm-size=256m. Until then: ALTER ROLE ROLE SET max_parallel_workers_per_gather = 0;",
        );
    }
    let file = occurrence.details.object.as_deref();
    let place = match file {
        Some(file) if file.starts_with("pg_wal") => " of the write-ahead log (pg_wal)",
        Some(file) if file.starts_with("pg_tblspc") => " of one of the tablespaces",
        _ => "",
    };
    let message = format!(
        "The database server's disk{place} is full; {} could not write{}.{}",
        within(who(case, occurrence)),
        at_migration(case, occurrence),
        if occurrence.stage == Stage::Migrate {
            progress(case, occurrence)
        } else {
            String::new()
        },
    );
    Explanation::new(
        Code::DatabaseDiskFull,
        message,
        "Enlarge the volume of PostgreSQL. What fills it: SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' ORDER BY pg_total_relation_size(oid) DESC LIMIT 10; for pg_wal: SELECT slot_name, active FROM pg_replication_slots; (an inactive slot keeps it for ever).",
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"pgb\", port 6432 failed: FATAL:  unsupported startup parameter: options",
        DatabasePoolerRejectsOptions,
        "",
        "options"
    )]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"pgb\", port 6432 failed: FATAL:  unsupported startup parameter in options: lock_timeout",
        DatabasePoolerRejectsOptions,
        "",
        "lock_timeout"
    )]
    #[case(
        "django.db.utils.NotSupportedError",
        "PostgreSQL 14 or later is required (found 13.14).",
        DatabaseVersionUnsupported,
        "",
        "PostgreSQL 14"
    )]
    #[case(
        "psycopg2.errors.ReadOnlySqlTransaction",
        "cannot execute CREATE TABLE in a read-only transaction",
        DatabaseReadOnly,
        "",
        "CREATE TABLE"
    )]
    #[case(
        "psycopg2.errors.DiskFull",
        "could not extend file \"pg_tblspc/1/PG_15/2/3\": No space left on device\nHINT:  Check free disk space.",
        DatabaseDiskFull,
        "",
        "pg_tblspc/1/PG_15/2/3"
    )]
    fn recognises(
        #[case] class: &str,
        #[case] message: &str,
        #[case] expected: Code,
        #[case] form: &str,
        #[case] object: &str,
    ) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!(
            (code, details.form, details.object.as_deref()),
            (expected, form, Some(object))
        );
    }

    #[rstest]
    #[case("FATAL:  sorry, too many clients already", "server")]
    #[case(
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "server"
    )]
    #[case("FATAL:  too many connections for role \"capped\"", "role")]
    #[case("FATAL:  zu viele Verbindungen von Rolle »capped«", "role")]
    #[case("FATAL:  too many connections for database \"fs\"", "database")]
    #[case("FATAL:  no more connections allowed (max_client_conn)", "pooler")]
    #[case("FATAL:  query_wait_timeout", "pooler-wait")]
    #[case("FATAL:  Timed-out waiting to acquire database connection", "pooler-borrow")]
    fn who_is_full(#[case] message: &str, #[case] form: &str) {
        let message = format!("connection to server at \"db\", port 5432 failed: {message}");
        let (code, details) = recognise(Stage::Serve, "psycopg2.OperationalError", &message).unwrap();
        assert_eq!((code, details.form), (DatabaseConnectionsExhausted, form));
    }

    #[test]
    fn full_shared_memory_is_no_full_disk() {
        let message = "could not resize shared memory segment \"/PostgreSQL.1450751626\" to 16777216 bytes: No space left on device";
        let (code, details) = recognise(Stage::Serve, "psycopg2.errors.DiskFull", message).unwrap();
        assert_eq!((code, details.form), (DatabaseDiskFull, "shared-memory"));
    }

    #[test]
    fn rds_proxy_takes_no_options() {
        let message = "connection to server at \"rds\", port 5432 failed: FATAL:  Feature not supported: RDS Proxy currently doesn’t support command-line options.";
        let (code, details) = recognise(Stage::Migrate, "psycopg2.OperationalError", message).unwrap();
        assert_eq!((code, details.form), (DatabasePoolerRejectsOptions, "rds"));
    }

    #[test]
    fn full_disk_of_the_container_is_not_the_databases() {
        let found = recognise(
            Stage::Boot,
            "OSError",
            "[Errno 28] No space left on device: '/tmp/x'",
        );
        assert!(found.is_none_or(|(code, _)| code != DatabaseDiskFull));
    }
}
