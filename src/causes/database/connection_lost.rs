//! An open database connection was closed.

use crate::{
    causes::{log::phrasing, prelude::*},
    flagsmith::WorkerClass,
    postgres::phrases::Phrase,
};

pub(crate) static CAUSE: Cause = Cause {
    is_connection: true,
    comes_and_goes: true,
    explains: &[Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing])],
    log: &[&LOG],
    ..Cause::warning(Component::Database, include_str!("connection_lost.md"))
};

/// Who closed the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The server, for a transaction in which nothing happened.
    IdleInTransaction,
    /// The server, for a session in which nothing happened.
    IdleSession,
    /// The server, for a transaction that took too long.
    Transaction,
    /// The connection pooler.
    Pooler,
    /// The server, on an administrator's command.
    Terminated,
    /// The server, after a crash of one of its processes.
    Crashed,
    /// The server, or something between.
    Closed,
}

/// A connection that was open before: not one that `waitfordb` opens each time, and none that was never made.
const BASE: Signature<Variant> = Signature::of(Variant::Closed)
    .only_database()
    .stage(&[Stage::Migrate, Stage::Boot, Stage::Serve])
    .none(&["connection to server ", "could not connect to server"]);

const fn of_class(variant: Variant, class: &'static [&'static str]) -> Signature<Variant> {
    Signature { variant, class, ..BASE }
}

const fn of_words(variant: Variant, any: &'static [&'static str]) -> Signature<Variant> {
    Signature { variant, any, ..BASE }
}

static LOG: Rule<Variant> = Rule {
    precedence: 350,
    signatures: &[
        of_class(Variant::IdleInTransaction, &["IdleInTransactionSessionTimeout"]),
        of_words(Variant::IdleInTransaction, &["idle-in-transaction timeout"]),
        of_class(Variant::IdleSession, &["IdleSessionTimeout"]),
        of_words(Variant::IdleSession, &["idle-session timeout"]),
        of_class(Variant::Transaction, &["TransactionTimeout"]),
        of_words(Variant::Transaction, &["due to transaction timeout"]),
        of_words(
            Variant::Pooler,
            &[
                "client_idle_timeout",
                "idle transaction timeout",
                "server_lifetime",
                "server conn crashed",
                "pgbouncer is shutting down",
                "connection closed by pooler",
            ],
        ),
        Signature { variant: Variant::Terminated, phrase: Some(Phrase::AdminTerminated), ..BASE },
        of_class(Variant::Terminated, &["AdminShutdown"]),
        of_class(Variant::Crashed, &["CrashShutdown"]),
        of_words(Variant::Crashed, &["because of crash of another server process"]),
        of_class(Variant::Closed, &["ConnectionFailure", "ConnectionDoesNotExist", "ConnectionException"]),
        of_words(
            Variant::Closed,
            &[
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
            ],
        ),
    ],
    details,
    explain,
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    // A migration that took too long is the news, not the connection that went with it.
    let is_news = variant == Variant::Transaction && failure.stage == Stage::Migrate;
    (!is_news).then(FailureDetails::default)
}

/// The time limits of the server.
const LIMITS: &str =
    "SELECT name, setting FROM pg_settings WHERE name ~ 'idle|transaction_timeout' AND setting <> '0';";

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let reason = match variant {
        Variant::IdleInTransaction => {
            return limited(
                evidence,
                occurrence,
                "it was idle within a transaction for longer than its idle_in_transaction_session_timeout",
                "Raise it for Flagsmith's role: ALTER ROLE ROLE SET idle_in_transaction_session_timeout = '5min';",
            );
        }
        Variant::IdleSession => {
            return limited(
                evidence,
                occurrence,
                "it was idle for longer than its idle_session_timeout",
                "Switch it off for Flagsmith's role: ALTER ROLE ROLE SET idle_session_timeout = 0; or keep \
                 DJANGO_DB_CONN_MAX_AGE below it (in seconds). Requests that meet a closed connection fail once each; \
                 from Flagsmith 2.228.0 DJANGO_DB_CONN_HEALTH_CHECKS=true spares them.",
            );
        }
        Variant::Transaction => {
            return limited(
                evidence,
                occurrence,
                "a transaction took longer than its transaction_timeout",
                "Raise it for Flagsmith's role: ALTER ROLE ROLE SET transaction_timeout = '5min'; and see what is slow: \
                 SELECT pid, now() - xact_start, left(query, 80) FROM pg_stat_activity WHERE xact_start IS NOT NULL \
                 ORDER BY xact_start LIMIT 10;",
            );
        }
        Variant::Terminated => {
            "the server ended it on an administrator's command: a restart, a failover, or pg_terminate_backend"
        }
        Variant::Pooler => "the connection pooler closed it",
        Variant::Crashed => {
            "the server ended all of its connections because one of its own processes had crashed, most often for lack \
             of memory; PostgreSQL's log says which"
        }
        Variant::Closed => {
            "the server, or something between, closed it: a restart or failover, a crash, a time limit of the server, \
             or a load balancer's idle timeout"
        }
    };
    if occurrence.stage == Stage::Migrate {
        return in_a_migration(evidence, occurrence, reason);
    }
    if let Some(ends) = ends_that_closed(evidence, occurrence) {
        return inherited(ends, occurrence);
    }
    let (course, severity) = course(evidence, occurrence);
    let who = phrasing::who(evidence, occurrence);
    let explained = Explanation::new(
        Code::DatabaseConnectionLost,
        format!("{who} lost its connection to the database; {reason}.{course}"),
        format!(
            "Look at the database's log and events at that time, and its time limits: {LIMITS} Requests that meet a \
             closed connection fail once each: from Flagsmith 2.228.0 set DJANGO_DB_CONN_HEALTH_CHECKS=true; behind a \
             load balancer or NAT keep DJANGO_DB_CONN_MAX_AGE below its idle timeout."
        ),
    );
    match severity {
        Some(severity) => explained.with(severity),
        None => explained,
    }
}

fn in_a_migration(evidence: &LogEvidence, occurrence: &Occurrence, reason: &str) -> Explanation {
    Explanation::new(
        Code::DatabaseConnectionLost,
        format!(
            "{} lost its connection to the database; {reason}.{}",
            phrasing::the_migration(evidence, occurrence),
            phrasing::progress(evidence, occurrence),
        ),
        format!(
            "See the server's time limits: {LIMITS} Run the migration again: what was not finished was rolled back, \
             except indexes that are built CONCURRENTLY. Before that, find invalid indexes: SELECT indexrelid::regclass \
             FROM pg_index WHERE NOT indisvalid; and drop them."
        ),
    )
    .with(Severity::Critical)
}

/// A time limit of the server ended it.
fn limited(evidence: &LogEvidence, occurrence: &Occurrence, why: &str, remedy: &str) -> Explanation {
    let explained = Explanation::new(
        Code::DatabaseConnectionLost,
        format!(
            "The server ended a connection of {} {} because {why} allows.",
            phrasing::within(phrasing::who(evidence, occurrence)),
            phrasing::times(occurrence.count),
        ),
        remedy,
    );
    if occurrence.stage == Stage::Migrate { explained } else { explained.with(Severity::Warning) }
}

/// Flagsmith asks the database before Gunicorn forks its workers (flagsmith-common reports its version at import), and a
/// worker of class `sync` goes on with the connection that it has inherited: the end of one worker closes it for all, and
/// for those that are forked later. Threads of `gthread` open their own.
fn inherited(ends: usize, occurrence: &Occurrence) -> Explanation {
    let workers = match ends {
        1 => "A Gunicorn worker ended".to_owned(),
        ends => format!("{ends} Gunicorn workers ended"),
    };
    let mut explained = Explanation::new(
        Code::DatabaseConnectionLost,
        format!(
            "{workers} and took the database connection with them; requests of the others failed {}. Workers of class \
             sync (GUNICORN_THREADS=1) share one database connection, which Flagsmith opens before Gunicorn forks them. \
             The database itself is probably well.",
            phrasing::times(occurrence.count)
        ),
        "Set GUNICORN_THREADS=2 or more: threads open connections of their own. With --max-requests \
         workers end all the time.",
    )
    .with(Severity::Warning);
    // Gunicorn ended the worker for a slow request.
    explained.follows_from = Some(Code::GunicornWorkerTimeout);
    explained
}

/// How many workers had ended, where that explains all of a log's closed connections: workers of class `sync`, an
/// end before the first failure, no more than one failure of each worker for each end, and nothing else wrong with
/// the database.
fn ends_that_closed(evidence: &LogEvidence, occurrence: &Occurrence) -> Option<usize> {
    let workers = &evidence.workers;
    let source = occurrence.source;
    let failures: Vec<&Occurrence> = evidence
        .occurrences
        .iter()
        .filter(|other| other.source == source && other.code.cause().is_connection)
        .collect();
    let closed = failures.iter().all(|other| {
        other.code == Code::DatabaseConnectionLost
            && LOG.variant(&other.details) == Some(Variant::Closed)
            && other.stage == Stage::Serve
    });
    let first = failures.iter().map(|other| other.first.line).min()?;
    let last = failures.iter().map(|other| other.last.line).max()?;
    let count: u64 = failures.iter().map(|other| other.count).sum();
    let ends = workers.forks.ends_before(source, last);
    let bound = u64::try_from(ends * workers.forks.workers(source)).unwrap_or(u64::MAX);
    let explained = closed
        && workers.regime == Some(WorkerClass::Sync)
        && workers.forks.ends_before(source, first) > 0
        && count <= bound;
    explained.then_some(ends)
}

/// How the outage went: the refusals after the break belong to it.
fn course(evidence: &LogEvidence, occurrence: &Occurrence) -> (String, Option<Severity>) {
    let outage = evidence.occurrences.iter().filter(|other| {
        other.source == occurrence.source
            && other.stage == occurrence.stage
            && other.code.cause().is_connection
    });
    let count = outage.clone().map(|other| other.count).sum();
    let Some(last) = outage.max_by_key(|other| other.last.line) else {
        return (String::new(), None);
    };
    if !phrasing::overcome(evidence, last) {
        return (
            format!(" It failed {} up to the end of the log.", phrasing::times(count)),
            Some(Severity::Critical),
        );
    }
    let seconds =
        last.last.time.zip(occurrence.first.time).map_or(0, |(last, first)| last.seconds_since(first));
    let within = if seconds > 0 { format!(" within {seconds} s") } else { String::new() };
    (
        format!(" It failed {}{within} and did not fail after that.", phrasing::times(count)),
        Some(Severity::Warning),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{database::shared::testing::read, diagnose_log};

    #[rstest]
    #[case(
        "psycopg2.OperationalError",
        "server closed the connection unexpectedly\nThis probably means the server terminated abnormally",
        Variant::Closed
    )]
    #[case(
        "psycopg2.errors.AdminShutdown",
        "terminating connection due to administrator command\nSSL connection has been closed unexpectedly",
        Variant::Terminated
    )]
    #[case("psycopg2.InterfaceError", "connection already closed", Variant::Closed)]
    #[case("psycopg2.OperationalError", "SSL SYSCALL error: EOF detected", Variant::Closed)]
    #[case(
        "psycopg2.OperationalError",
        "could not receive data from server: Connection reset by peer",
        Variant::Closed
    )]
    #[case(
        "psycopg2.errors.IdleInTransactionSessionTimeout",
        "terminating connection due to idle-in-transaction timeout",
        Variant::IdleInTransaction
    )]
    #[case(
        "psycopg2.errors.IdleSessionTimeout",
        "terminating connection due to idle-session timeout\nSSL connection has been closed unexpectedly",
        Variant::IdleSession
    )]
    #[case(
        "psycopg2.errors.TransactionTimeout",
        "terminating connection due to transaction timeout\nserver closed the connection unexpectedly",
        Variant::Transaction
    )]
    #[case(
        "psycopg2.OperationalError",
        "terminating connection because of crash of another server process\nserver closed the connection unexpectedly",
        Variant::Crashed
    )]
    #[case("psycopg2.errors.ConnectionFailure", "server conn crashed?", Variant::Pooler)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        assert_eq!(read(&LOG, Stage::Serve, class, message), Some((Code::DatabaseConnectionLost, expected)));
    }

    #[test]
    fn a_migration_that_took_too_long_is_another_cause() {
        let message =
            "terminating connection due to transaction timeout\nserver closed the connection unexpectedly";
        let class = "psycopg2.errors.TransactionTimeout";
        assert_eq!(
            crate::causes::log::testing::code(Stage::Migrate, class, message),
            Some(Code::MigrationStatementTimeout)
        );
    }

    const SYNC: &str = "[2026-11-24 10:00:00 +0000] [1] [INFO] Using worker: sync\n";
    const THREADS: &str = "[2026-11-24 10:00:00 +0000] [1] [INFO] Using worker: gthread\n";
    const TWO: &str = "[2026-11-24 10:00:00 +0000] [7] [INFO] Booting worker with pid: 7\n[2026-11-24 10:00:00 +0000] [8] [INFO] Booting worker with pid: 8\n";
    const ENDS: &str = "[2026-11-24 10:00:05 +0000] [7] [INFO] Worker exiting (pid: 7)\n";
    const TIMEOUT: &str = "[2026-11-24 10:00:05 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n";
    const FAILS: &str = "2026-11-24T10:00:06.000000Z [error    ] Internal Server Error: /api/v1/flags/ [django.request] status_code=500\nTraceback (most recent call last):\n  File \"/x/django/core/handlers/exception.py\", line 55, in inner\n    r()\npsycopg2.OperationalError: server closed the connection unexpectedly\n\n";
    const REFUSED: &str = "2026-11-24T10:00:06.000000Z [error    ] Internal Server Error: /api/v1/flags/ [django.request] status_code=500\nTraceback (most recent call last):\n  File \"/x/django/core/handlers/exception.py\", line 55, in inner\n    r()\npsycopg2.OperationalError: connection to server at \"db\", port 5432 failed: Connection refused\n\n";

    fn found(parts: &[&str]) -> Vec<(Code, bool)> {
        let log = parts.concat();
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let shared = |text: &str| text.contains("share one database connection");
        found.iter().map(|(_, it)| (it.code, shared(&it.message))).collect()
    }

    /// The same closed connection: a worker of either class ended before it, after it, or the database went.
    #[rstest]
    #[case(&[SYNC, TWO, ENDS, FAILS], true)]
    #[case(&[THREADS, TWO, ENDS, FAILS], false)]
    #[case(&[SYNC, TWO, FAILS, ENDS], false)]
    #[case(&[SYNC, TWO, ENDS, FAILS, FAILS, FAILS], false)]
    fn a_worker_takes_the_connection_with_it(#[case] parts: &[&str], #[case] shared: bool) {
        assert_eq!(found(parts), [(Code::DatabaseConnectionLost, shared)]);
    }

    #[test]
    fn a_refusal_is_the_database() {
        assert_eq!(found(&[SYNC, TWO, ENDS, FAILS, REFUSED]), [(Code::DatabaseUnreachable, false)]);
    }

    #[test]
    fn it_follows_from_what_ended_the_worker() {
        assert_eq!(found(&[SYNC, TWO, TIMEOUT, ENDS, FAILS]), [(Code::GunicornWorkerTimeout, false)]);
    }
}
