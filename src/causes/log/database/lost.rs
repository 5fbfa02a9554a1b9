//! The server is about to answer, or stopped answering in the middle.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage};
use crate::causes::log::forks::ends_that_closed;
use crate::causes::log::{finding::Explanation, phrasing, rule::Plain};
use crate::model::{Code, Severity};
use crate::postgres::phrases::Phrase;

pub const DATABASE_STARTING: (Code, Plain) = (
    Code::DatabaseStarting,
    Plain {
        precedence: 340,
        last_resort: false,
        recognise: starting,
        explain: explain_starting,
        is_over: None,
    },
);
pub const DATABASE_CONNECTION_LOST: (Code, Plain) = (
    Code::DatabaseConnectionLost,
    Plain {
        precedence: 350,
        last_resort: false,
        recognise: lost,
        explain: explain_lost,
        is_over: None,
    },
);

fn starting(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let form = if failure.phrase(Phrase::StartingUp).is_some() {
        "starting"
    } else if failure.phrase(Phrase::ShuttingDown).is_some()
        || failure.says("connection to server ") && failure.phrase(Phrase::AdminTerminated).is_some()
    {
        "stopping"
    } else if failure.phrase(Phrase::InRecovery).is_some() {
        "recovery"
    } else if failure.phrase(Phrase::NotYetAccepting).is_some()
        || failure.says("system is not accepting connections")
        || failure.is(&["CannotConnectNow"])
    {
        "not-yet"
    } else {
        return None;
    };
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        form,
        ..FailureDetails::default()
    })
}

fn explain_starting(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::who(case, occurrence);
    let endpoint = &occurrence.details.endpoint;
    let (message, remedy) = match occurrence.details.form {
        "starting" if occurrence.stage == Stage::Serve => (
            format!(
                "{who} cannot connect: PostgreSQL{} is starting up again and takes no connections yet.",
                phrasing::at(endpoint)
            ),
            "Find out who restarted it (maintenance window, eviction of its pod, failover, crash) in PostgreSQL's own log; it passes by itself, after a crash only when the write-ahead log is replayed.",
        ),
        "starting" => (
            format!(
                "{who} came before its database was ready: PostgreSQL at {endpoint} is starting up and takes no connections yet."
            ),
            "Wait and start again; it passes by itself, after a crash only when the write-ahead log is replayed. Lasts it longer than a few minutes, look at PostgreSQL's own log.",
        ),
        "stopping" => (
            format!(
                "{who} cannot connect: PostgreSQL at {endpoint} is shutting down, for a restart or for good."
            ),
            "Find out who stops it (maintenance window, eviction of its pod, failover) and wait for it to come back.",
        ),
        "recovery" => (
            format!("{who} cannot connect: PostgreSQL at {endpoint} is recovering from a crash."),
            "Wait; then look in PostgreSQL's own log for what crashed it (often memory: the kernel ends a backend and the server restarts).",
        ),
        _ => (
            format!(
                "{who} cannot connect: PostgreSQL at {endpoint} does not accept connections yet; it may be a standby that has not caught up, or one without hot_standby."
            ),
            "Point DATABASE_URL at the primary, or wait until recovery has reached a consistent state.",
        ),
    };
    Explanation::new(Code::DatabaseStarting, message, remedy)
}

fn lost(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    // `waitfordb` opens a new one each time: nothing that had worked was lost.
    if failure.stage == Stage::Wait {
        return None;
    }
    // With this beginning no connection had come about: that is another cause.
    if failure.says_any(&["connection to server ", "could not connect to server"]) {
        return None;
    }
    let limit = time_limit(failure);
    // A migration that took too long is the news, not the connection that went with it.
    if limit == Some(TRANSACTION_TIMEOUT) && failure.stage == Stage::Migrate {
        return None;
    }
    let form = if let Some(limit) = limit {
        limit
    } else if failure.says_any(&[
        "client_idle_timeout",
        "idle transaction timeout",
        "server_lifetime",
        "server conn crashed",
        "pgbouncer is shutting down",
        "connection closed by pooler",
    ]) {
        "pooler"
    } else if failure.phrase(Phrase::AdminTerminated).is_some() || failure.is(&["AdminShutdown"]) {
        "terminated"
    } else if failure.is(&["CrashShutdown"]) || failure.says("because of crash of another server process") {
        "crashed"
    } else if failure.is(&[
        "ConnectionFailure",
        "ConnectionDoesNotExist",
        "ConnectionException",
    ]) || failure.says_any(&[
        "server closed the connection unexpectedly",
        "SSL connection has been closed unexpectedly",
        "SSL SYSCALL error",
        "could not receive data from server",
        "could not send data to server",
        "connection already closed",
        "the connection is closed",
        "connection not open",
        "no connection to the server",
        "connection pointer is NULL",
        "consuming input failed",
        "lost synchronization with server",
        "connection has been closed",
    ]) {
        "closed"
    } else {
        return None;
    };
    Some(FailureDetails::form(form))
}

fn explain_lost(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::who(case, occurrence);
    if let Some(explained) = explain_limit(who, occurrence) {
        return explained;
    }
    let reason = match occurrence.details.form {
        "terminated" => {
            "the server ended it on an administrator's command: a restart, a failover, or pg_terminate_backend"
        }
        "pooler" => "the connection pooler closed it",
        "crashed" => {
            "the server ended all of its connections because one of its own processes had crashed, most often for lack of memory; PostgreSQL's log says which"
        }
        _ => {
            "the server, or something between, closed it: a restart or failover, a crash, a time limit of the server, or a load balancer's idle timeout"
        }
    };
    if occurrence.stage == Stage::Migrate {
        let message = format!(
            "{} lost its connection to the database; {reason}.{}",
            phrasing::the_migration(case, occurrence),
            phrasing::progress(case, occurrence),
        );
        let remedy = "See the server's time limits: SELECT name, setting FROM pg_settings WHERE name ~ 'idle|transaction_timeout' AND setting <> '0'; Run the migration again: what was not finished was rolled back, except indexes that are built CONCURRENTLY. Before that, find invalid indexes: SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid; and drop them.";
        return Explanation::new(Code::DatabaseConnectionLost, message, remedy).with(Severity::Critical);
    }
    if let Some(ends) = ends_that_closed(case, occurrence) {
        return explain_shared(ends, occurrence);
    }
    let (course, severity) = course(case, occurrence);
    let message = format!("{who} lost its connection to the database; {reason}.{course}");
    let remedy = "Look at the database's log and events at that time, and its time limits: SELECT name, setting FROM pg_settings WHERE name ~ 'idle|transaction_timeout' AND setting <> '0'; Requests that meet a closed connection fail once each: from Flagsmith 2.228.0 set DJANGO_DB_CONN_HEALTH_CHECKS=true; behind a load balancer or NAT keep DJANGO_DB_CONN_MAX_AGE below its idle timeout.";
    let explained = Explanation::new(Code::DatabaseConnectionLost, message, remedy);
    match severity {
        Some(severity) => explained.with(severity),
        None => explained,
    }
}

/// A limit of the server that ends connections.
struct Limit {
    /// The parameter; also the form of the subject.
    parameter: &'static str,
    /// The class of psycopg for its SQLSTATE.
    class: &'static str,
    /// The server's words.
    words: &'static str,
    /// What took longer than it allows.
    why: &'static str,
    remedy: &'static str,
}

const LIMITS: &[Limit] = &[
    Limit {
        parameter: "idle_in_transaction_session_timeout",
        class: "IdleInTransactionSessionTimeout",
        words: "idle-in-transaction timeout",
        why: "it was idle within a transaction",
        remedy: "Raise it for Flagsmith's role: ALTER ROLE ROLE SET idle_in_transaction_session_timeout = '5min';",
    },
    Limit {
        parameter: "idle_session_timeout",
        class: "IdleSessionTimeout",
        words: "idle-session timeout",
        why: "nobody used it",
        remedy: "Switch it off for Flagsmith's role: ALTER ROLE ROLE SET idle_session_timeout = 0; or keep DJANGO_DB_CONN_MAX_AGE below it (in seconds). Requests that meet a closed connection fail once each; from Flagsmith 2.228.0 DJANGO_DB_CONN_HEALTH_CHECKS=true spares them.",
    },
    Limit {
        parameter: TRANSACTION_TIMEOUT,
        class: "TransactionTimeout",
        words: "due to transaction timeout",
        why: "a transaction took",
        remedy: "Raise it for Flagsmith's role: ALTER ROLE ROLE SET transaction_timeout = '5min'; and see what is slow: SELECT pid, now() - xact_start, left(query, 80) FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start LIMIT 10;",
    },
];

const TRANSACTION_TIMEOUT: &str = "transaction_timeout";

/// The parameter of the server whose limit ended the connection.
fn time_limit(failure: &Failure<'_>) -> Option<&'static str> {
    let limit = LIMITS
        .iter()
        .find(|limit| failure.is(&[limit.class]) || failure.says(limit.words))?;
    Some(limit.parameter)
}

fn explain_limit(who: &str, occurrence: &Occurrence) -> Option<Explanation> {
    let form = occurrence.details.form;
    let limit = LIMITS.iter().find(|limit| limit.parameter == form)?;
    let explained = Explanation::new(
        Code::DatabaseConnectionLost,
        format!(
            "The server ended a connection of {} {} because {} for longer than its {form} allows.",
            phrasing::within(who),
            phrasing::times(occurrence.count),
            limit.why
        ),
        limit.remedy,
    );
    Some(if occurrence.stage == Stage::Migrate {
        explained
    } else {
        explained.with(Severity::Warning)
    })
}

fn explain_shared(ends: usize, occurrence: &Occurrence) -> Explanation {
    let workers = match ends {
        1 => "A Gunicorn worker ended".to_owned(),
        ends => format!("{ends} Gunicorn workers ended"),
    };
    Explanation::new(
        Code::DatabaseConnectionLost,
        format!(
            "{workers} and took the database connection with them; requests of the others failed {}. Workers of class sync (GUNICORN_THREADS=1) share one database connection, which Flagsmith opens before Gunicorn forks them. The database itself is probably well.",
            phrasing::times(occurrence.count)
        ),
        "Set GUNICORN_THREADS=2 or more: threads open connections of their own. With --max-requests (GUNICORN_CMD_ARGS) workers end all the time.",
    )
    .with(Severity::Warning)
}

/// How the outage went: the refusals after the break belong to it.
fn course(case: &LogEvidence, occurrence: &Occurrence) -> (String, Option<Severity>) {
    let outage = case.occurrences.iter().filter(|other| {
        other.source == occurrence.source
            && other.stage == occurrence.stage
            && other.code.cause().is_connection
    });
    let count = outage.clone().map(|other| other.count).sum();
    let Some(last) = outage.max_by_key(|other| other.last.line) else {
        return (String::new(), None);
    };
    if !phrasing::overcome(case, last) {
        return (
            format!(" It failed {} up to the end of the log.", phrasing::times(count)),
            Some(Severity::Critical),
        );
    }
    let seconds = last
        .last
        .time
        .zip(occurrence.first.time)
        .map_or(0, |(last, first)| last.seconds_since(first));
    let within = if seconds > 0 {
        format!(" within {seconds} s")
    } else {
        String::new()
    };
    (
        format!(
            " It failed {}{within} and did not fail after that.",
            phrasing::times(count)
        ),
        Some(Severity::Warning),
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
        "connection to server at \"db\", port 5432 failed: FATAL:  the database system is starting up",
        DatabaseStarting,
        "starting"
    )]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"db\", port 5432 failed: FATAL:  das Datenbanksystem startet",
        DatabaseStarting,
        "starting"
    )]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"db\", port 5432 failed: FATAL:  the database system is shutting down",
        DatabaseStarting,
        "stopping"
    )]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"db\", port 5432 failed: FATAL:  the database system is in recovery mode",
        DatabaseStarting,
        "recovery"
    )]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"db\", port 5432 failed: FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached.",
        DatabaseStarting,
        "not-yet"
    )]
    #[case(
        "psycopg2.OperationalError",
        "server closed the connection unexpectedly\nThis probably means the server terminated abnormally",
        DatabaseConnectionLost,
        "closed"
    )]
    #[case(
        "psycopg2.errors.AdminShutdown",
        "terminating connection due to administrator command\nSSL connection has been closed unexpectedly",
        DatabaseConnectionLost,
        "terminated"
    )]
    #[case(
        "psycopg2.InterfaceError",
        "connection already closed",
        DatabaseConnectionLost,
        "closed"
    )]
    #[case(
        "psycopg2.OperationalError",
        "SSL SYSCALL error: EOF detected",
        DatabaseConnectionLost,
        "closed"
    )]
    #[case(
        "psycopg2.OperationalError",
        "could not receive data from server: Connection reset by peer",
        DatabaseConnectionLost,
        "closed"
    )]
    #[case(
        "psycopg2.errors.IdleInTransactionSessionTimeout",
        "terminating connection due to idle-in-transaction timeout",
        DatabaseConnectionLost,
        "idle_in_transaction_session_timeout"
    )]
    #[case(
        "psycopg2.errors.IdleSessionTimeout",
        "terminating connection due to idle-session timeout\nSSL connection has been closed unexpectedly",
        DatabaseConnectionLost,
        "idle_session_timeout"
    )]
    #[case(
        "psycopg2.errors.TransactionTimeout",
        "terminating connection due to transaction timeout\nserver closed the connection unexpectedly",
        DatabaseConnectionLost,
        "transaction_timeout"
    )]
    #[case(
        "psycopg2.OperationalError",
        "terminating connection because of crash of another server process\nserver closed the connection unexpectedly",
        DatabaseConnectionLost,
        "crashed"
    )]
    #[case(
        "psycopg2.errors.ConnectionFailure",
        "server conn crashed?",
        DatabaseConnectionLost,
        "pooler"
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code, #[case] form: &str) {
        let (code, details) = recognise(Stage::Serve, class, message).unwrap();
        assert_eq!((code, details.form), (expected, form));
    }
}
