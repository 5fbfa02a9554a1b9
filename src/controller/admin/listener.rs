//! An HTTP server that nobody can keep others out of: each connection carries one request and has a deadline, and a
//! new connection is always taken, in place of an old one where there are too many.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{certificate::Certificate, connections::Connections};

/// The largest head of a request in bytes (twice what a browser sends), which is all that is read of it.
const HEAD: usize = 16 * 1024;

/// Connections that the kernel keeps until this process takes them. What arrives beyond it is dropped, and whoever connects
/// tries again a second later, which is as long as a probe of the kubelet's may take. Rust's own value is 128, which
/// somebody fills in the milliseconds in which this process does something else; this one is the most that Linux allows by
/// default (net.core.somaxconn).
const BACKLOG: u32 = 4096;

/// The pause after a connection could not be accepted, mostly because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at the same time.
    pub(super) connections: usize,
    /// Connections of one address at the same time.
    pub(super) of_peer: usize,
    /// How long the head of a request may take.
    pub(super) head: Duration,
    /// How long a connection may last, from its first byte to its last.
    pub(super) whole: Duration,
}

/// A socket that listens, but answers only once [`Listener::serve`] is awaited.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Listener {
    /// Listens on `address`, within a runtime; port 0 takes any free one.
    pub(super) fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A container that is started again finds connections of the one before, which are ending.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, limits })
    }

    /// Where it listens, with the real port.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then lets open connections end, within their deadline.
    pub(super) async fn serve(
        self,
        router: Router,
        certificate: Option<Certificate>,
        shutdown: CancellationToken,
    ) {
        let service = TowerToHyperService::new(router);
        let Limits { connections, of_peer, .. } = self.limits;
        let open = Arc::new(Mutex::new(Connections::new(connections, of_peer)));
        let tasks = TaskTracker::new();
        let accept = async {
            loop {
                match self.socket.accept().await {
                    Ok((stream, peer)) => {
                        let place = Place::take(&open, peer);
                        let tls = certificate.as_ref().map(Certificate::config);
                        let connection = serve_one(stream, tls, service.clone(), self.limits);
                        tasks.spawn(place.hold(connection));
                    }
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(accept).await;
        tasks.close();
        tasks.wait().await;
    }
}

type Open = Arc<Mutex<Connections<CancellationToken>>>;

/// A connection's place among the open ones, until it is dropped.
struct Place {
    open: Open,
    number: u64,
    /// Somebody else takes the place.
    end: CancellationToken,
}

impl Place {
    fn take(open: &Open, peer: SocketAddr) -> Self {
        let end = CancellationToken::new();
        let (number, displaced) = lock(open).admit(peer.ip(), end.clone());
        if let Some(displaced) = displaced {
            displaced.cancel();
        }
        Self { open: Arc::clone(open), number, end }
    }

    /// Serves a connection while it has its place.
    async fn hold(self, connection: impl Future<Output = ()>) {
        self.end.run_until_cancelled(connection).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).ended(self.number);
    }
}

/// A panic cannot leave the list half written.
fn lock(open: &Open) -> MutexGuard<'_, Connections<CancellationToken>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve_one(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    service: TowerToHyperService<Router>,
    limits: Limits,
) {
    let connection = async {
        let Some(tls) = tls else {
            return answer(stream, service, limits).await;
        };
        // Hands shake before there is a head.
        match timeout(limits.head, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, service, limits).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection was not encrypted"),
            Err(_) => tracing::debug!("a connection was too slow"),
        }
    };
    if timeout(limits.whole, connection).await.is_err() {
        tracing::debug!("a connection was too slow");
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    service: TowerToHyperService<Router>,
    limits: Limits,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke");
    }
}
