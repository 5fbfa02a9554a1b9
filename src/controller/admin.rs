//! What the process answers over HTTP, on two ports: one for the kubelet's probes, one for Prometheus.
//!
//! | port | path | answer |
//! |---|---|---|
//! | probes | `/livez` | 200 while the runtime schedules tasks, 500 when it is stuck; never asks the API server |
//! | probes | `/readyz` | 200 when every gate holds, otherwise 503; one line for each gate |
//! | metrics | `/metrics` | all metrics, `OpenMetrics` text format |
//!
//! Metrics are served over TLS, and only to whom the API server allows them, where that is asked for ([`Protection`]).
//!
//! Two, because a probe that is not answered restarts the operator: nobody who reads metrics, or only connects, may
//! be in its way.

pub mod certificate;
mod connections;
mod listener;
mod readers;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::readiness::Readiness;
use crate::runtime::{heartbeat::Heartbeat, metrics::Metrics};
pub use certificate::Certificate;
use listener::{Limits, Listener};
pub use readers::Readers;

/// A kubelet's probe sends its head at once and is answered within milliseconds; two of them, and the engineer who
/// asks by hand, need three connections. The rest is for whoever connects and says nothing.
const PROBES: Limits =
    Limits { connections: 64, of_peer: 16, head: Duration::from_secs(1), whole: Duration::from_secs(2) };

/// Two scrapers need two connections, for the time that a slow Prometheus takes.
const METRICS: Limits =
    Limits { connections: 32, of_peer: 8, head: Duration::from_secs(2), whole: Duration::from_secs(10) };

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the servers do not run.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is in use, or not one of this machine.
    #[error("cannot listen on {address} for {purpose}")]
    Bind {
        /// What was to be served there.
        purpose: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system reports.
        source: io::Error,
    },
}

/// Where is listened; port 0 takes any free one.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For `/livez` and `/readyz`.
    pub probes: SocketAddr,
    /// For `/metrics`.
    pub metrics: SocketAddr,
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

/// How the metrics are protected.
#[derive(Debug, Default)]
pub struct Protection {
    /// They are served over TLS with it; `None`: in plain text.
    pub certificate: Option<Certificate>,
    /// Only these may read them; `None`: everybody.
    pub readers: Option<Readers>,
}

/// What `/metrics` is answered from.
#[derive(Clone, Debug)]
struct Guarded {
    metrics: Metrics,
    readers: Option<Arc<Readers>>,
}

/// Servers that listen, but answer only once [`Admin::run`] is awaited.
#[derive(Debug)]
pub struct Admin {
    probes: Listener,
    metrics: Listener,
    sources: Sources,
    protection: Protection,
}

impl Admin {
    /// Listens on both addresses, within a runtime.
    pub fn bind(addresses: Addresses, sources: Sources, protection: Protection) -> Result<Self, Error> {
        Ok(Self {
            probes: listen("probes", addresses.probes, PROBES)?,
            metrics: listen("metrics", addresses.metrics, METRICS)?,
            sources,
            protection,
        })
    }

    /// Where they listen, with the real ports.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        Addresses { probes: self.probes.address(), metrics: self.metrics.address() }
    }

    /// Serves until `shutdown`, then lets open connections end, within ten seconds.
    pub async fn run(self, shutdown: CancellationToken) {
        let probes = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(self.sources.clone());
        let Protection { certificate, readers } = self.protection;
        let guarded = Guarded { metrics: self.sources.metrics, readers: readers.map(Arc::new) };
        let metrics = Router::new().route("/metrics", get(metrics)).with_state(guarded);
        let following = async {
            if let Some(certificate) = &certificate {
                shutdown.run_until_cancelled(certificate.follow()).await;
            }
        };
        futures::join!(
            self.probes.serve(probes, None, shutdown.clone()),
            self.metrics.serve(metrics, certificate.clone(), shutdown.clone()),
            following,
        );
    }
}

fn listen(purpose: &'static str, address: SocketAddr, limits: Limits) -> Result<Listener, Error> {
    Listener::bind(address, limits).map_err(|source| Error::Bind { purpose, address, source })
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
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let lines: Vec<_> = gates.iter().map(ToString::to_string).collect();
    (status, lines.join("\n") + "\n").into_response()
}

async fn metrics(State(guarded): State<Guarded>, headers: HeaderMap) -> Response {
    if let Some(readers) = &guarded.readers
        && let Some(status) = readers.refusal(&headers).await
    {
        return status.into_response();
    }
    match guarded.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
