//! Why a look at a database failed.

use std::io;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::ErrorResponseBody;
use secrecy::{ExposeSecret, SecretString};

use super::text::shown;

/// Bytes of a secret's beginning that tell something of it; fewer end many a word.
const SECRET_BEGINNING: usize = 4;

/// Why a connection to the database failed, as far as the failure tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFailure {
    /// The class of the failure.
    pub kind: ProbeFailureKind,
    /// The server's or the library's own words, redacted.
    pub message: String,
}

/// Classes of failures to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFailureKind {
    /// The host name has no address.
    HostNotFound,
    /// Something answered that nothing listens.
    Refused,
    /// Nothing answered in time; a `NetworkPolicy` may keep the operator out.
    TimedOut,
    /// 28P01 and its kin.
    Authentication,
    /// 28000: `pg_hba.conf` says no.
    AccessRejected,
    /// 3D000.
    NotFound,
    /// 57P03.
    Starting,
    /// 53300.
    TooManyConnections,
    /// TLS is wanted by one side only.
    Tls,
    /// The server cannot prove who it is to the operator, and the URL has it proved: the operator did not go on.
    Unverified,
    /// The server asks for the password itself, and is not known to be the one that the password is for: the operator
    /// did not send it.
    PasswordWithheld,
    /// The host leads to an address at which the operator would reach itself or its node.
    AddressRefused,
    /// What answers is no PostgreSQL.
    NotPostgres,
    /// The server sent more than a look takes.
    LimitExceeded,
    /// 08P01: a pooler refuses a start-up option.
    PoolerRejectsOptions,
    /// Other sessions of the operator took too long; nothing is known of this database.
    NotTried,
    /// The role may not read what was asked for.
    Forbidden,
    /// The table, column or function that was asked for is not there.
    Undefined,
    /// The question took longer than it may, or waited for a lock.
    TooSlow,
    /// Anything else.
    Other,
}

impl ProbeFailureKind {
    /// A constant label for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostNotFound => "host_not_found",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Authentication => "authentication",
            Self::AccessRejected => "access_rejected",
            Self::NotFound => "database_not_found",
            Self::Starting => "starting",
            Self::TooManyConnections => "too_many_connections",
            Self::Tls => "tls",
            Self::Unverified => "unverified",
            Self::PasswordWithheld => "password_withheld",
            Self::AddressRefused => "address_refused",
            Self::NotPostgres => "not_postgres",
            Self::LimitExceeded => "limit_exceeded",
            Self::PoolerRejectsOptions => "pooler_options",
            Self::NotTried => "not_tried",
            Self::Forbidden => "forbidden",
            Self::Undefined => "undefined",
            Self::TooSlow => "too_slow",
            Self::Other => "other",
        }
    }

    /// Whether the way to the database may be at fault rather than the database: another machine may fare better.
    #[must_use]
    pub const fn may_be_local(self) -> bool {
        matches!(
            self,
            Self::HostNotFound
                | Self::Refused
                | Self::TimedOut
                | Self::Tls
                | Self::NotPostgres
                | Self::NotTried
                | Self::Other
        )
    }

    /// Whether nothing more can be asked in the session that it happened in.
    pub(super) const fn ends_session(self) -> bool {
        matches!(
            self,
            Self::LimitExceeded | Self::NotPostgres | Self::Refused | Self::TimedOut
        )
    }

    /// Whether it was the operator that did not go on: nothing is known of the database, and the message says what
    /// would let the operator in.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Unverified | Self::PasswordWithheld | Self::AddressRefused | Self::LimitExceeded
        )
    }
}

impl ProbeFailure {
    /// A failure in words that may come from outside.
    pub(super) fn new(kind: ProbeFailureKind, message: &str) -> Self {
        Self {
            kind,
            message: shown(message),
        }
    }

    /// The server sent more than a look takes.
    pub(super) fn too_much(what: &str) -> Self {
        Self::new(
            ProbeFailureKind::LimitExceeded,
            &format!("the server sent more than the operator takes: {what}; the operator hung up"),
        )
    }

    /// What answers does not keep to the protocol. Nothing of its answer is told.
    pub(super) fn not_postgres() -> Self {
        Self::new(
            ProbeFailureKind::NotPostgres,
            "what listens there does not speak PostgreSQL, or hung up before it did",
        )
    }

    /// The connection ended where an answer was due.
    pub(super) fn closed() -> Self {
        Self::new(ProbeFailureKind::Other, "the server hung up")
    }

    /// An error of the server before it has let the session in, by SQLSTATE (PostgreSQL 17, appendix A).
    pub(super) fn of_login(body: &ErrorResponseBody) -> Self {
        let (state, message) = words(body);
        Self::new(by_state(&state, &message), &message)
    }

    /// An error of the server that answers a question.
    pub(super) fn of_question(body: &ErrorResponseBody) -> Self {
        use ProbeFailureKind as Kind;
        let (state, message) = words(body);
        let kind = match state.as_str() {
            "42501" => Kind::Forbidden,
            // A table, column or function that is not there.
            "42P01" | "42703" | "42883" | "3F000" => Kind::Undefined,
            // query_canceled by statement_timeout, lock_not_available by lock_timeout.
            "57014" | "55P03" => Kind::TooSlow,
            state => by_state(state, &message),
        };
        Self::new(kind, &message)
    }

    /// A failure of the socket, by its kind.
    pub(super) fn of_io(error: &io::Error) -> Self {
        Self::new(by_io(error), &error.to_string())
    }

    /// The same without this text, which a server that was given it may echo, and without its beginning where the
    /// message was cut in the middle of it.
    pub(super) fn without(mut self, secret: Option<&SecretString>) -> Self {
        const MASK: &str = "***";
        let Some(secret) = secret
            .map(ExposeSecret::expose_secret)
            .filter(|secret| !secret.is_empty())
        else {
            return self;
        };
        self.message = self.message.replace(secret, MASK);
        let mut beginnings = secret
            .char_indices()
            .rev()
            .map(|(end, _)| secret.get(..end).unwrap_or_default());
        let cut = beginnings
            .find(|beginning| beginning.len() >= SECRET_BEGINNING && self.message.ends_with(beginning));
        if let Some(beginning) = cut {
            self.message.truncate(self.message.len() - beginning.len());
            self.message.push_str(MASK);
        }
        self
    }
}

/// SQLSTATE and message of an error.
fn words(body: &ErrorResponseBody) -> (String, String) {
    let (mut state, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => state = text(),
            b'M' => message = text(),
            _ => {}
        }
    }
    (state, message)
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
        io::ErrorKind::ConnectionRefused => Kind::Refused,
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::echoed("no s3cret-pw here", "no *** here")]
    #[case::cut("no s3cret", "no ***")]
    #[case::not_of_it("no s3", "no s3")]
    fn a_secret_is_not_told_on(#[case] message: &str, #[case] expected: &str) {
        let failure = ProbeFailure::new(ProbeFailureKind::Other, message);
        let failure = failure.without(Some(&SecretString::from("s3cret-pw")));
        assert_eq!(failure.message, expected);
    }

    #[rstest]
    #[case("28000", "no pg_hba.conf entry for host", ProbeFailureKind::AccessRejected)]
    #[case("28000", "role \"x\" does not exist", ProbeFailureKind::Authentication)]
    #[case("28P01", "", ProbeFailureKind::Authentication)]
    #[case("3D000", "", ProbeFailureKind::NotFound)]
    #[case("57P03", "", ProbeFailureKind::Starting)]
    #[case("53300", "", ProbeFailureKind::TooManyConnections)]
    #[case(
        "08P01",
        "unsupported startup parameter: options",
        ProbeFailureKind::PoolerRejectsOptions
    )]
    #[case("08P01", "no such database: x", ProbeFailureKind::NotFound)]
    #[case("XX000", "", ProbeFailureKind::Other)]
    fn states_have_kinds(#[case] state: &str, #[case] message: &str, #[case] expected: ProbeFailureKind) {
        assert_eq!(by_state(state, message), expected);
    }
}
