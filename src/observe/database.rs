//! One short, read-only look at the database.

use std::{error::Error as _, io, time::Duration};

use secrecy::ExposeSecret as _;
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgDatabaseError, PgSslMode},
};
use tokio::sync::Semaphore;

use super::{DatabaseProbe, ProbeFailure, ProbeFailureKind};
use crate::validate::DatabaseUrl;

/// How long one probe may take altogether: a database that does not answer within five seconds is as good as
/// away for a request, and a pass must not hang on it.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// How many probes run at once over all installations: the operator must not be the one who uses up the
/// connections of a shared server.
const CONCURRENT_PROBES: usize = 16;

/// What a probe shows itself as in `pg_stat_activity`.
const APPLICATION_NAME: &str = "flagsmith-operator";

/// The server's version, and whether writes would fail.
const QUERY: &str = "SELECT current_setting('server_version_num')::int4, \
     pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'";

/// Probes databases, a bounded number at a time.
#[derive(Debug)]
pub struct Prober {
    permits: Semaphore,
}

impl Default for Prober {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(CONCURRENT_PROBES),
        }
    }
}

impl Prober {
    /// Connects, asks one question, disconnects.
    pub async fn probe(&self, url: &DatabaseUrl) -> DatabaseProbe {
        let Ok(_permit) = self.permits.acquire().await else {
            return DatabaseProbe::NotProbed;
        };
        match tokio::time::timeout(PROBE_DEADLINE, ask(url)).await {
            Ok(Ok((version, read_only))) => DatabaseProbe::Reachable { version, read_only },
            Ok(Err(error)) => DatabaseProbe::Failed(failure(&error)),
            Err(_) => DatabaseProbe::Failed(ProbeFailure {
                kind: ProbeFailureKind::TimedOut,
                message: format!("no answer within {} s", PROBE_DEADLINE.as_secs()),
            }),
        }
    }
}

async fn ask(url: &DatabaseUrl) -> Result<(i32, bool), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options(url)).await?;
    let answer = sqlx::query_as(QUERY)
        .persistent(false)
        .fetch_one(&mut connection)
        .await;
    // A failure to say good-bye changes nothing about the answer.
    connection.close().await.ok();
    answer
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
