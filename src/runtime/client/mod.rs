//! The connection to the API server: the client library's own stack inside, deadlines, repetitions and metrics
//! around it. Nothing here logs a header or a body.

use std::{iter::successors, time::Duration};

use http::{HeaderValue, Request, Response, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, DynBody},
};
use thiserror::Error;
use tower::{BoxError, Layer, Service, buffer::BufferLayer, layer::util::Identity, util::BoxService};

use crate::runtime::metrics::Metrics;

mod body;
mod deadline;
mod guard;
mod pages;
mod request;

pub use deadline::{CALL_DEADLINE, DeadlineExceeded};
pub(in crate::runtime) use guard::Condition;
pub use pages::{PAGE_SIZE, listed};

use guard::GuardLayer;

/// How the operator names itself to the API server; seen in audit logs.
pub const AGENT: &str = concat!("flagsmith-operator/", env!("CARGO_PKG_VERSION"));

/// How long the TCP and TLS handshakes may take: half of [`CALL_DEADLINE`], so that the error says that the server
/// could not be reached rather than that it did not answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many requests may wait for the connection pool. It always takes them at once; the client library keeps a
/// queue of the same length in front of this one.
const QUEUE: usize = 1024;

/// The body of an answer as it comes from the network.
pub type WireBody = Box<DynBody>;

/// The client library's own stack: authentication, TLS, connection pool.
pub type Wire = BoxService<Request<Body>, Response<WireBody>, BoxError>;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration cannot be used, for example because of a certificate that cannot be read.
    #[error("cannot set up the connection to the API server")]
    Setup {
        /// What the client library reports.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Sets up a client. Nothing is sent yet.
pub fn connect(config: Config, metrics: Metrics) -> Result<Client, Error> {
    connect_with(config, metrics, &Identity::new())
}

/// Like [`connect`], with a layer next to the network: what it does to requests and answers looks as if the API
/// server did it, so deadlines, repetitions and metrics apply to it. For tests that inject faults or count
/// requests.
pub fn connect_with<L>(mut config: Config, metrics: Metrics, layer: &L) -> Result<Client, Error>
where
    L: Layer<Wire>,
    L::Service: Service<Request<Body>, Response = Response<WireBody>, Error = BoxError> + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send + 'static,
{
    install_crypto();
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The library's own policy repeats for minutes; the guard repeats within the deadline.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let builder =
        ClientBuilder::try_from(config).map_err(|source| Error::Setup { source: Box::new(source) })?;
    Ok(builder
        .with_layer(layer)
        // A repetition needs a second handle on the service.
        .with_layer(&BufferLayer::new(QUEUE))
        .with_layer(&GuardLayer { metrics })
        .build())
}

/// Whether a request failed because of [`CALL_DEADLINE`].
#[must_use]
pub fn is_deadline(error: &kube::Error) -> bool {
    // The body of an answer that came through two clients has its error wrapped twice.
    successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
        .any(<dyn std::error::Error + 'static>::is::<DeadlineExceeded>)
}

/// Makes ring the process's cryptography, unless one was chosen already. Called again, it does nothing.
pub fn install_crypto() {
    // The only error is that there is a provider already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An error with those sources that its text does not repeat, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let further = error.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
