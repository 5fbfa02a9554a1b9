//! One short, read-only session with a database, and what its failures mean.

use std::{error::Error as _, io, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use sqlx::{
    Connection as _, FromRow, PgConnection, SqlSafeStr,
    postgres::{PgConnectOptions, PgDatabaseError, PgRow, PgSslMode},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use super::{ProbeFailure, ProbeFailureKind};
use crate::postgres::DatabaseUrl;

/// How long a whole session may take, from the first packet to the last answer: a database that does not answer
/// within five seconds is as good as away for a request, and a pass must not hang on it.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a session waits for its turn. A healthy one takes a few milliseconds; only when many databases are
/// silent at once do sessions wait, and then each must leave most of the pass's minute to the rest of it.
const TURN: Duration = Duration::from_secs(10);

/// How many sessions there are at once over all installations: the operator must not be the one who uses up the
/// connections of a shared server.
const CONCURRENT: usize = 16;

/// What a session shows itself as in `pg_stat_activity`.
const APPLICATION_NAME: &str = "flagsmith-operator";

/// Begins one question. Its limits hold for this transaction only, and are no start-up options: a pooler refuses
/// those (`unsupported startup parameter`), and a `SET` without `LOCAL` would stay behind on the pooler's
/// connection and make the next client's transactions read-only.
///
/// A question that needs more than two seconds is the wrong question; one that waits for a lock shows the
/// migration that holds it, and is asked again at the next interval.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '1s'";

/// Opens sessions, a bounded number at a time.
#[derive(Clone, Debug)]
pub struct Sessions {
    permits: Arc<Semaphore>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(CONCURRENT)),
        }
    }
}

impl Sessions {
    /// Connects. The session counts against the limit of sessions until it is closed or dropped.
    pub async fn open(&self, url: &DatabaseUrl) -> Result<Session, ProbeFailure> {
        self.connect(options(url)).await
    }

    /// Connects with a start-up option, as libpq does that finds `PGOPTIONS`: a pooler may refuse that.
    pub async fn open_with_option(&self, url: &DatabaseUrl) -> Result<Session, ProbeFailure> {
        self.connect(options(url).options([("lock_timeout", "1s")])).await
    }

    async fn connect(&self, options: PgConnectOptions) -> Result<Session, ProbeFailure> {
        let turn = timeout(TURN, Arc::clone(&self.permits).acquire_owned());
        let Ok(Ok(permit)) = turn.await else {
            return Err(busy());
        };
        let deadline = Instant::now() + DEADLINE;
        let connection = within(deadline, PgConnection::connect_with(&options), failure).await?;
        Ok(Session {
            connection,
            deadline,
            _permit: permit,
        })
    }
}

/// An open session. Each question is a read-only transaction of its own, so that one that fails (a table that
/// the role may not read, a column that a release does not have) leaves the others alone.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    /// The answer of a question that has exactly one row.
    pub async fn one<T>(&mut self, sql: impl SqlSafeStr) -> Result<T, ProbeFailure>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let rows = self.all(sql).await?;
        rows.into_iter().next().ok_or_else(|| ProbeFailure {
            kind: ProbeFailureKind::Other,
            message: "a question was answered with no row".to_owned(),
        })
    }

    /// All rows of a question; it must bound their number itself.
    pub async fn all<T>(&mut self, sql: impl SqlSafeStr) -> Result<Vec<T>, ProbeFailure>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let deadline = self.deadline;
        let connection = &mut self.connection;
        within(deadline, sqlx::raw_sql(BEGIN).execute(&mut *connection), refused).await?;
        // Not kept as a prepared statement: behind a pooler the next one may come to another server process.
        let question = sqlx::query_as(sql).persistent(false).fetch_all(&mut *connection);
        let answer = within(deadline, question, refused).await;
        let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
        within(deadline, sqlx::raw_sql(end).execute(connection), refused).await?;
        answer
    }

    /// Says good-bye. A failure to do so changes nothing about the answers.
    pub async fn close(self) {
        timeout_at(self.deadline, self.connection.close()).await.ok();
    }
}

async fn within<T>(
    deadline: Instant,
    attempt: impl Future<Output = Result<T, sqlx::Error>>,
    why: fn(&sqlx::Error) -> ProbeFailure,
) -> Result<T, ProbeFailure> {
    match timeout_at(deadline, attempt).await {
        Ok(result) => result.map_err(|error| why(&error)),
        Err(_) => Err(ProbeFailure {
            kind: ProbeFailureKind::TimedOut,
            message: format!("no answer within {} s", DEADLINE.as_secs()),
        }),
    }
}

fn busy() -> ProbeFailure {
    ProbeFailure {
        kind: ProbeFailureKind::NotTried,
        message: format!(
            "{CONCURRENT} sessions of the operator with other databases were open for {} s",
            TURN.as_secs()
        ),
    }
}

fn options(url: &DatabaseUrl) -> PgConnectOptions {
    let identity = &url.identity;
    let options = PgConnectOptions::new_without_pgpass()
        .port(identity.port)
        .username(&url.user)
        .database(&identity.name)
        .application_name(APPLICATION_NAME)
        // PgBouncer refuses start-up parameters that it does not know.
        .extra_float_digits(None)
        .ssl_mode(ssl_mode(url.options.get("sslmode").map(String::as_str)));
    let options = match &url.password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    };
    if identity.host.starts_with('/') {
        options.socket(&identity.host)
    } else {
        options.host(&identity.host)
    }
}

/// libpq's names. Certificates are not verified here even where `verify-full` is asked for: the authority's file
/// is in the pods and not in the operator, and the probe sends nothing but a question.
fn ssl_mode(name: Option<&str>) -> PgSslMode {
    match name {
        Some("disable") => PgSslMode::Disable,
        Some("allow") => PgSslMode::Allow,
        Some("require" | "verify-ca" | "verify-full") => PgSslMode::Require,
        _ => PgSslMode::Prefer,
    }
}

/// Classifies the failure of a question to a server that has let the session in.
fn refused(error: &sqlx::Error) -> ProbeFailure {
    use ProbeFailureKind as Kind;
    let mut failure = failure(error);
    let state = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    failure.kind = match state.as_deref() {
        Some("42501") => Kind::Forbidden,
        // A table, column or function that is not there.
        Some("42P01" | "42703" | "42883" | "3F000") => Kind::Undefined,
        // query_canceled by statement_timeout, lock_not_available by lock_timeout.
        Some("57014" | "55P03") => Kind::TooSlow,
        _ => failure.kind,
    };
    failure
}

/// Classifies a failure by SQLSTATE where the server spoke (PostgreSQL 17, appendix A), and by the kind of
/// input/output error where it did not.
fn failure(error: &sqlx::Error) -> ProbeFailure {
    use ProbeFailureKind as Kind;
    let (kind, message) = match error {
        sqlx::Error::Database(error) => {
            let message = error.message().to_owned();
            let state = error
                .try_downcast_ref::<PgDatabaseError>()
                .map_or("", PgDatabaseError::code);
            (by_state(state, &message), message)
        }
        sqlx::Error::Io(error) => (by_io(error), error.to_string()),
        sqlx::Error::Tls(error) => (Kind::Tls, error.to_string()),
        other => (
            Kind::Other,
            other
                .source()
                .map_or_else(|| other.to_string(), ToString::to_string),
        ),
    };
    ProbeFailure { kind, message }
}

fn by_state(state: &str, message: &str) -> ProbeFailureKind {
    use ProbeFailureKind as Kind;
    match state {
        // pg_hba.conf says no, or the role lacks CONNECT.
        "28000" | "42501" if state == "42501" || message.contains("pg_hba.conf") => Kind::AccessRejected,
        // 28000 is also "role … does not exist", and the failures of PAM and LDAP.
        "28P01" | "28000" => Kind::Authentication,
        "3D000" => Kind::NotFound,
        "57P03" | "57P01" | "57P02" => Kind::Starting,
        "53300" => Kind::TooManyConnections,
        // PgBouncer answers with protocol violations of its own.
        "08P01" if message.contains("startup parameter") => Kind::PoolerRejectsOptions,
        "08P01" if message.contains("no more connections") => Kind::TooManyConnections,
        "08P01" if message.contains("authentication failed") || message.contains("no such user") => {
            Kind::Authentication
        }
        "08P01" if message.contains("no such database") => Kind::NotFound,
        _ => Kind::Other,
    }
}

fn by_io(error: &io::Error) -> ProbeFailureKind {
    use ProbeFailureKind as Kind;
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Kind::TimedOut
        }
        // A socket file that is not there: nothing listens.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Kind::Refused,
        // getaddrinfo's failures have no kind of their own; the standard library gives them this prefix.
        _ if error
            .to_string()
            .starts_with("failed to lookup address information") =>
        {
            Kind::HostNotFound
        }
        _ => Kind::Other,
    }
}
