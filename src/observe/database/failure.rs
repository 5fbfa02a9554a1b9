//! Makes failures of the server's words and of the socket's.

use std::io;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::ErrorResponseBody;
use secrecy::{ExposeSecret, SecretString};

use super::{
    probe::{ProbeFailure, ProbeFailureKind},
    text::shown,
};

/// Bytes of a secret's beginning that tell something of it; fewer end many a word.
const SECRET_BEGINNING: usize = 4;

impl ProbeFailure {
    /// A failure in words that may come from outside.
    pub(super) fn new(kind: ProbeFailureKind, message: &str) -> Self {
        Self { kind, message: shown(message) }
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

    /// An error of the server to a login by SCRAM that is tied to the encryption. 28000 is then no word about the role:
    /// the server sees another encryption than the operator.
    pub(super) fn of_scram(body: &ErrorResponseBody) -> Self {
        let (state, message) = words(body);
        if state == "28000" {
            return Self::new(
                ProbeFailureKind::Unverified,
                &format!(
                    "the server says that the operator did not log in over the connection that the server has encrypted ({message}): something between them decrypts what they say; write the address of the server itself, or channel_binding=disable if it is a proxy of yours that does it"
                ),
            );
        }
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
        let Some(secret) = secret.map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()) else {
            return self;
        };
        self.message = self.message.replace(secret, MASK);
        let mut beginnings =
            secret.char_indices().rev().map(|(end, _)| secret.get(..end).unwrap_or_default());
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
        _ if error.to_string().starts_with("failed to lookup address information") => Kind::HostNotFound,
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
    #[case("08P01", "unsupported startup parameter: options", ProbeFailureKind::PoolerRejectsOptions)]
    #[case("08P01", "no such database: x", ProbeFailureKind::NotFound)]
    #[case("XX000", "", ProbeFailureKind::Other)]
    fn states_have_kinds(#[case] state: &str, #[case] message: &str, #[case] expected: ProbeFailureKind) {
        assert_eq!(by_state(state, message), expected);
    }
}
