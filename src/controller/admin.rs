//! The HTTP server for the kubelet's probes and Prometheus.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the runtime schedules tasks, 500 when it is stuck; never asks the API server |
//! | `/readyz` | 200 when every gate holds, otherwise 503; one line for each gate |
//! | `/metrics` | all metrics, `OpenMetrics` text format |

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::readiness::Readiness;
use crate::runtime::{heartbeat::Heartbeat, metrics::Metrics};

/// How long a connection may last, from its first byte to its last: the time that a slow Prometheus takes, and the
/// longest that a client can occupy one of [`CONNECTIONS`]. Each connection carries one request.
pub const CONNECTION_DEADLINE: Duration = Duration::from_secs(10);

/// How many connections are served at the same time: two probes and two scrapers need four.
pub const CONNECTIONS: usize = 32;

/// The largest head of a request in bytes (twice what a browser sends), which is all that is read of it.
const HEAD_LIMIT: usize = 16 * 1024;

/// The pause after a connection could not be accepted, mostly because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the server does not run.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is in use, or not one of this machine.
    #[error("cannot listen on {address} for probes and metrics")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system reports.
        source: io::Error,
    },
}

/// What the answers are made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Answers `/livez`.
    pub heartbeat: Heartbeat,
    /// Answers `/readyz`.
    pub readiness: Readiness,
    /// Answers `/metrics`.
    pub metrics: Metrics,
}

/// A server that listens, but answers only once [`Admin::run`] is awaited.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    sources: Sources,
}

impl Admin {
    /// Listens on `address`; port 0 takes any free one.
    pub async fn bind(address: SocketAddr, sources: Sources) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            sources,
        })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then lets open connections end (within [`CONNECTION_DEADLINE`]).
    pub async fn run(self, shutdown: CancellationToken) {
        let service = TowerToHyperService::new(router(self.sources));
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let connections = TaskTracker::new();
        let accept = async {
            // The semaphore is never closed.
            while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let service = service.clone();
                        connections.spawn(async move {
                            serve(stream, service).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection for probes and metrics");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        shutdown.run_until_cancelled(accept).await;
        connections.close();
        connections.wait().await;
    }
}

async fn serve(stream: TcpStream, service: TowerToHyperService<Router>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_DEADLINE)
        .max_buf_size(HEAD_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for probes and metrics broke"),
        Err(_) => tracing::debug!("a connection for probes and metrics was too slow"),
    }
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(sources)
}

async fn livez(State(sources): State<Sources>) -> Response {
    let silence = sources.heartbeat.silence().as_secs();
    if sources.heartbeat.is_stuck() {
        let text = format!("stuck: no task ran for {silence} s\n");
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    } else {
        "ok\n".into_response()
    }
}

async fn readyz(State(sources): State<Sources>) -> Response {
    let gates = sources.readiness.gates();
    let ready = gates.iter().all(|state| state.closed.is_none());
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let lines: Vec<_> = gates.iter().map(ToString::to_string).collect();
    (status, lines.join("\n") + "\n").into_response()
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match sources.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
