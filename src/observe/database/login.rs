//! Logging in: what the server asks for, and what it gets.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    limits::SCRAM_ITERATIONS,
    probe::{ProbeFailure, ProbeFailureKind},
    tls::Peer,
    wire::Wire,
};
use crate::postgres::{ChannelBinding, DatabaseUrl, Trust};

/// What a session shows itself as in `pg_stat_activity`.
const APPLICATION_NAME: &str = "flagsmith-operator";

/// As whom to log in, and whom to trust.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) url: &'a DatabaseUrl,
    /// Start-up options, as in `PGOPTIONS`.
    pub(super) options: Option<&'static str>,
    pub(super) trust: &'a Trust,
    /// Who that is at the other end.
    pub(super) peer: &'a Peer,
}

/// A conversation that proves both that the client knows the password and that the server does.
enum Scram {
    None,
    Begun(ScramSha256),
    Answered(ScramSha256),
    Done,
}

impl Login<'_> {
    /// Opens the session.
    pub(super) async fn run<S>(self, wire: &mut Wire<S>) -> Result<(), ProbeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut output = BytesMut::new();
        frontend::startup_message(self.parameters(), &mut output).map_err(|_| {
            impossible("the role or the name of the database has a character that PostgreSQL does not take")
        })?;
        wire.send(&output).await?;
        self.authenticate(wire).await?;
        wire.logged_in();
        loop {
            match wire.next().await? {
                Message::ReadyForQuery(_) => return Ok(()),
                Message::BackendKeyData(_) => {}
                Message::ErrorResponse(body) => return Err(ProbeFailure::of_login(&body)),
                _ => return Err(ProbeFailure::not_postgres()),
            }
        }
    }

    /// Only what every pooler takes: PgBouncer refuses parameters that it does not know.
    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        [
            ("user", self.url.user.as_str()),
            ("database", self.url.identity.name.as_str()),
            ("application_name", APPLICATION_NAME),
            ("client_encoding", "UTF8"),
        ]
        .into_iter()
        .chain(self.options.map(|options| ("options", options)))
    }

    async fn authenticate<S>(self, wire: &mut Wire<S>) -> Result<(), ProbeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut scram = Scram::None;
        loop {
            let mut output = BytesMut::new();
            scram = match (wire.next().await?, scram) {
                // A server that began to prove who it is has to end it.
                (Message::AuthenticationOk, Scram::None | Scram::Done) => return Ok(()),
                (Message::AuthenticationCleartextPassword, Scram::None) => {
                    let password = self.password("in clear text")?;
                    written(frontend::password_message(password, &mut output))?;
                    Scram::None
                }
                (Message::AuthenticationMd5Password(body), Scram::None) => {
                    let password = self.password("as an MD5 hash, which is as good as the password")?;
                    let hash = md5_hash(self.url.user.as_bytes(), password, body.salt());
                    written(frontend::password_message(hash.as_bytes(), &mut output))?;
                    Scram::None
                }
                (Message::AuthenticationSasl(body), Scram::None) => {
                    let (mechanism, scram) = self.begin(&body)?;
                    written(frontend::sasl_initial_response(mechanism, scram.message(), &mut output))?;
                    Scram::Begun(scram)
                }
                (Message::AuthenticationSaslContinue(body), Scram::Begun(scram)) => {
                    let scram = answer(scram, body.data().to_vec()).await?;
                    written(frontend::sasl_response(scram.message(), &mut output))?;
                    Scram::Answered(scram)
                }
                (Message::AuthenticationSaslFinal(body), Scram::Answered(mut scram)) => {
                    scram.finish(body.data()).map_err(|_| not_the_server())?;
                    Scram::Done
                }
                (Message::ErrorResponse(body), Scram::Begun(_) | Scram::Answered(_)) => {
                    return Err(ProbeFailure::of_scram(&body));
                }
                (Message::ErrorResponse(body), _) => return Err(ProbeFailure::of_login(&body)),
                (
                    Message::AuthenticationGss
                    | Message::AuthenticationSspi
                    | Message::AuthenticationKerberosV5
                    | Message::AuthenticationScmCredential,
                    _,
                ) => {
                    return Err(impossible(
                        "the server asks for a way to log in that the operator does not have (GSSAPI or SSPI)",
                    ));
                }
                _ => return Err(ProbeFailure::not_postgres()),
            };
            if !output.is_empty() {
                wire.send(&output).await?;
            }
        }
    }

    /// The password, for a server that may have it.
    fn password(&self, how: &str) -> Result<&[u8], ProbeFailure> {
        if !self.trust.gives_password(self.peer.proved) {
            return Err(ProbeFailure::new(
                ProbeFailureKind::PasswordWithheld,
                &format!(
                    "the server asks for the password {how}, and has not proved who it is, so the operator did not send it: let the role log in with scram-sha-256, or write sslmode=verify-full and name the server's authority in spec.database.caFrom"
                ),
            ));
        }
        self.known_password()
    }

    fn known_password(&self) -> Result<&[u8], ProbeFailure> {
        let password = self.url.password.as_ref();
        password.map(|password| password.expose_secret().as_bytes()).ok_or_else(|| {
            ProbeFailure::new(
                ProbeFailureKind::Authentication,
                "the server asks for a password, and the URL has none",
            )
        })
    }

    /// The mechanism, and the beginning of the conversation, as libpq chooses them (RFC 5802, section 6).
    fn begin(&self, body: &AuthenticationSaslBody) -> Result<(&'static str, ScramSha256), ProbeFailure> {
        let (mut plain, mut tied) = (false, false);
        let mut mechanisms = body.mechanisms();
        while let Ok(Some(mechanism)) = mechanisms.next() {
            plain |= mechanism == SCRAM_SHA_256;
            tied |= mechanism == SCRAM_SHA_256_PLUS;
        }
        // A server offers that only where it has encrypted the connection, and this end has not.
        if tied && !self.peer.encrypted {
            return Err(ProbeFailure::new(
                ProbeFailureKind::Unverified,
                "the server takes the connection for an encrypted one, and it is not: something between the operator and the server decrypts what they say",
            ));
        }
        let wanted = self.trust.binding != ChannelBinding::Disable;
        let (mechanism, binding) = match &self.peer.end_point {
            Some(end_point) if wanted && tied => {
                (SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(end_point.clone()))
            }
            _ if self.trust.binding == ChannelBinding::Require => {
                return Err(ProbeFailure::new(
                    ProbeFailureKind::PasswordWithheld,
                    "the URL has channel_binding=require, and the server does not offer SCRAM-SHA-256-PLUS over an encrypted connection; PgBouncer has no such thing",
                ));
            }
            // "The client can do it, but thinks that the server cannot": a server that can, and whose offer was taken
            // out on the way, ends the login.
            Some(_) if wanted && plain => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
            _ if plain => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
            _ => {
                return Err(impossible(
                    "the server asks for a way to log in that the operator does not have (it has scram-sha-256)",
                ));
            }
        };
        Ok((mechanism, ScramSha256::new(self.known_password()?, binding)))
    }
}

/// Answers the server's challenge. The hashing is done on another thread: this one has other work.
async fn answer(mut scram: ScramSha256, challenge: Vec<u8>) -> Result<ScramSha256, ProbeFailure> {
    if iterations(&challenge).is_some_and(|asked| asked > u64::from(SCRAM_ITERATIONS)) {
        return Err(ProbeFailure::too_much(&format!("more than {SCRAM_ITERATIONS} iterations of SCRAM")));
    }
    let hashed = tokio::task::spawn_blocking(move || scram.update(&challenge).map(|()| scram)).await;
    match hashed {
        Ok(Ok(scram)) => Ok(scram),
        Ok(Err(_)) | Err(_) => Err(ProbeFailure::not_postgres()),
    }
}

/// The iterations that a challenge asks for (`r=…,s=…,i=4096`).
fn iterations(challenge: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(challenge).ok()?;
    let asked = text.split(',').find_map(|part| part.strip_prefix("i="))?;
    // What is too long for a number is too much.
    Some(asked.parse().unwrap_or(u64::MAX))
}

fn written(result: std::io::Result<()>) -> Result<(), ProbeFailure> {
    result.map_err(|_| impossible("the password has a character that PostgreSQL does not take"))
}

fn impossible(why: &str) -> ProbeFailure {
    ProbeFailure::new(ProbeFailureKind::Other, why)
}

fn not_the_server() -> ProbeFailure {
    ProbeFailure::new(
        ProbeFailureKind::Unverified,
        "what answers does not know the role's password itself, so it is not the server that it should be",
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::iterations;

    #[rstest]
    #[case("r=a,s=b,i=4096", Some(4096))]
    #[case("r=a,s=b,i=2147483648", Some(1 << 31))]
    #[case("r=a,s=b,i=99999999999999999999999", Some(u64::MAX))]
    #[case("r=a,s=b", None)]
    fn are_read(#[case] challenge: &str, #[case] expected: Option<u64>) {
        assert_eq!(iterations(challenge.as_bytes()), expected);
    }
}
