//! One short, read-only session with a database.

use std::net::SocketAddr;

use bytes::BytesMut;
use postgres_protocol::message::{backend::Message, frontend};
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use super::{
    limits::{ADDRESSES, DEADLINE, ROWS, SESSION},
    login::Login,
    probe::{ProbeFailure, ProbeFailureKind},
    rows::Row,
    stream::Stream,
    tls::{self, Peer},
    wire::Wire,
};
use crate::{
    api::SslMode,
    postgres::{DatabaseUrl, Trust, address::out_of_bounds},
    runtime::metered::Metered,
};

/// Begins one question. Its limits hold for this transaction only, and are no start-up options: a pooler refuses
/// those (`unsupported startup parameter`), and a `SET` without `LOCAL` would stay behind on the pooler's
/// connection and make the next client's transactions read-only.
///
/// A question that needs more than two seconds is the wrong question; one that waits for a lock shows the
/// migration that holds it, and is asked again at the next interval.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '1s'";

/// Start-up options as libpq sends them that finds `PGOPTIONS`.
const OPTIONS: &str = "-c lock_timeout=1s";

/// Opens sessions. Whoever asks for one has a turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// Whether a database may be where the operator itself is.
    loopback: bool,
}

impl Sessions {
    /// Connects to databases on this machine too.
    pub(super) const fn allow_loopback(&mut self) {
        self.loopback = true;
    }

    /// Connects.
    pub(super) async fn open(&self, url: &DatabaseUrl) -> Result<Session, ProbeFailure> {
        self.connect(url, None).await
    }

    /// Connects with a start-up option: a pooler may refuse that.
    pub(super) async fn open_with_option(&self, url: &DatabaseUrl) -> Result<Session, ProbeFailure> {
        self.connect(url, Some(OPTIONS)).await
    }

    async fn connect(
        &self,
        url: &DatabaseUrl,
        options: Option<&'static str>,
    ) -> Result<Session, ProbeFailure> {
        let trust =
            url.trust().map_err(|why| ProbeFailure::new(ProbeFailureKind::Unverified, &why.to_string()))?;
        let deadline = Instant::now() + DEADLINE;
        let opening = async {
            let addresses = self.addresses(url).await?;
            let mut failure = None;
            for encrypted in ways(trust.mode) {
                match open(&addresses, url, options, &trust, *encrypted).await {
                    Ok(wire) => return Ok(wire),
                    Err(first) if is_about_encryption(&first) => failure = failure.or(Some(first)),
                    Err(other) => return Err(other),
                }
            }
            Err(failure.unwrap_or_else(ProbeFailure::closed))
        };
        let wire =
            within(deadline, opening).await.map_err(|failure| failure.without(url.password.as_ref()))?;
        Ok(Session { wire, deadline, password: url.password.clone() })
    }

    /// Where the host is. Asked once: what is connected to is what was judged.
    async fn addresses(&self, url: &DatabaseUrl) -> Result<Vec<SocketAddr>, ProbeFailure> {
        let identity = &url.identity;
        if identity.host.starts_with('/') {
            return Err(ProbeFailure::new(
                ProbeFailureKind::AddressRefused,
                "a Unix socket of the pods cannot be reached from elsewhere",
            ));
        }
        // Not every resolver knows these names in every form, and none outside is to be asked.
        if identity.is_of_pod() && !self.loopback {
            return Err(ProbeFailure::new(
                ProbeFailureKind::AddressRefused,
                "the host is the pods' own machine: the operator would reach its own there, and does not connect",
            ));
        }
        let found = lookup_host((identity.host.as_str(), identity.port))
            .await
            .map_err(|error| ProbeFailure::of_io(&error))?;
        let mut addresses = Vec::new();
        let mut refused = None;
        for address in found {
            match out_of_bounds(address.ip()) {
                Some(why) if !(self.loopback && why.is_own()) => refused = Some((address.ip(), why)),
                _ if addresses.len() < ADDRESSES => addresses.push(address),
                _ => {}
            }
        }
        match (addresses.is_empty(), refused) {
            (false, _) => Ok(addresses),
            (true, Some((address, why))) => Err(ProbeFailure::new(
                ProbeFailureKind::AddressRefused,
                &format!(
                    "the host is {address}, {why}: the operator would reach its own machine or network there, not what the pods reach, and does not connect"
                ),
            )),
            (true, None) => Err(ProbeFailure::new(ProbeFailureKind::HostNotFound, "the host has no address")),
        }
    }
}

/// In which order encryption is tried. libpq too tries the other way where a server refuses the first.
const fn ways(mode: SslMode) -> &'static [bool] {
    match mode {
        SslMode::Disable => &[false],
        SslMode::Allow => &[false, true],
        SslMode::Prefer => &[true, false],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[true],
    }
}

/// Whether the other way may do better.
const fn is_about_encryption(failure: &ProbeFailure) -> bool {
    matches!(failure.kind, ProbeFailureKind::Tls | ProbeFailureKind::AccessRejected)
}

async fn open(
    addresses: &[SocketAddr],
    url: &DatabaseUrl,
    options: Option<&'static str>,
    trust: &Trust,
    encrypted: bool,
) -> Result<Wire<Stream>, ProbeFailure> {
    // Tries one after the other.
    let socket = TcpStream::connect(addresses).await.map_err(|error| ProbeFailure::of_io(&error))?;
    socket.set_nodelay(true).ok();
    let socket = Metered::new(socket, SESSION);
    let (stream, peer) = if encrypted {
        negotiated(socket, &url.server_name, trust).await?
    } else {
        (Stream::Plain(socket), Peer::default())
    };
    let mut wire = Wire::new(stream);
    let login = Login { url, options, trust, peer: &peer };
    login.run(&mut wire).await?;
    Ok(wire)
}

/// Asks for encryption. The answer is one byte, read alone: what a man in the middle sends behind it would otherwise
/// be taken for the server's (CVE-2021-23222).
async fn negotiated(
    mut socket: Metered<TcpStream>,
    host: &str,
    trust: &Trust,
) -> Result<(Stream, Peer), ProbeFailure> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let mut answer = [0];
    let asked = async {
        socket.write_all(&request).await?;
        socket.read_exact(&mut answer).await
    };
    asked.await.map_err(|_| ProbeFailure::not_postgres())?;
    match answer {
        [b'S'] => tls::encrypt(socket, host, trust).await,
        // In libpq's words, which the cause of logs reads too.
        [b'N'] if trust.demands_tls() => {
            Err(ProbeFailure::new(ProbeFailureKind::Tls, "server does not support SSL, but SSL was required"))
        }
        [b'N'] => Ok((Stream::Plain(socket), Peer::default())),
        _ => Err(ProbeFailure::not_postgres()),
    }
}

/// An open session. Each question is a read-only transaction of its own, so that one that fails (a table that
/// the role may not read, a column that a release does not have) leaves the others alone.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire<Stream>,
    deadline: Instant,
    /// What no answer may show.
    password: Option<SecretString>,
}

impl Session {
    /// The answer of a question that has exactly one row.
    pub(super) async fn one<T: Row>(&mut self, sql: &str) -> Result<T, ProbeFailure> {
        let rows = self.all(sql).await?;
        rows.into_iter()
            .next()
            .ok_or_else(|| ProbeFailure::new(ProbeFailureKind::Other, "a question was answered with no row"))
    }

    /// All rows of a question.
    pub(super) async fn all<T: Row>(&mut self, sql: &str) -> Result<Vec<T>, ProbeFailure> {
        let (deadline, password) = (self.deadline, self.password.clone());
        let answered = within(deadline, async {
            self.run::<(String,)>(BEGIN).await?;
            // In PostgreSQL's simple protocol nothing is prepared: behind a pooler the next question may come to
            // another server process.
            let answer = self.run(sql).await;
            let end = match &answer {
                Ok(_) => "COMMIT",
                // The connection is not what it was, or the server is none to go on with.
                Err(failure) if failure.kind.ends_session() => return answer,
                Err(_) => "ROLLBACK",
            };
            self.run::<(String,)>(end).await?;
            answer
        });
        answered.await.map_err(|failure| failure.without(password.as_ref()))
    }

    /// Sends a statement and reads its answer to the end.
    async fn run<T: Row>(&mut self, sql: &str) -> Result<Vec<T>, ProbeFailure> {
        let mut output = BytesMut::new();
        frontend::query(sql, &mut output)
            .map_err(|_| ProbeFailure::new(ProbeFailureKind::Other, "a question cannot be sent"))?;
        self.wire.send(&output).await?;
        let (mut rows, mut failure) = (Vec::new(), None);
        loop {
            match self.wire.next().await? {
                Message::DataRow(_) if rows.len() >= ROWS => {
                    return Err(ProbeFailure::too_much(&format!("more than {ROWS} rows")));
                }
                Message::DataRow(row) => match T::read(&row) {
                    Some(row) => rows.push(row),
                    None => failure = failure.or_else(|| Some(unexpected())),
                },
                // The first is what happened; an honest server sends one.
                Message::ErrorResponse(body) => {
                    failure = failure.or_else(|| Some(ProbeFailure::of_question(&body)));
                }
                Message::RowDescription(_) | Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                Message::ReadyForQuery(_) => return failure.map_or(Ok(rows), Err),
                _ => return Err(ProbeFailure::not_postgres()),
            }
        }
    }

    /// Says good-bye. A failure to do so changes nothing about the answers.
    pub(super) async fn close(mut self) {
        let mut output = BytesMut::new();
        frontend::terminate(&mut output);
        timeout_at(self.deadline, self.wire.send(&output)).await.ok();
    }
}

/// The columns are not those that were asked for.
fn unexpected() -> ProbeFailure {
    ProbeFailure::new(ProbeFailureKind::Other, "a question was answered with other columns than it asks for")
}

async fn within<T>(
    deadline: Instant,
    attempt: impl Future<Output = Result<T, ProbeFailure>>,
) -> Result<T, ProbeFailure> {
    match timeout_at(deadline, attempt).await {
        Ok(result) => result,
        Err(_) => Err(ProbeFailure::new(
            ProbeFailureKind::TimedOut,
            &format!("no answer within {} s", DEADLINE.as_secs()),
        )),
    }
}
