//! One question to a pod, which may be anybody's program: whoever may make a pod says what answers on its port.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{CONTENT_ENCODING, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::exposition::{LINE, LineTooLong, RequestSeconds};
use crate::runtime::{client::AGENT, metered::Metered};

/// How long a pod may take, from the first packet to the last of its answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// Bytes of an answer, as they come over the network: a Flagsmith with all its routes has a few hundred kilobytes.
const ANSWER: usize = 4 << 20;

/// Bytes of an answer that wait to be read, its whole head among them.
const BUFFER: usize = 16 * 1024;

/// What one question holds in memory, whatever the pod sends.
pub(super) const HELD: usize = BUFFER + LINE;

/// Why a pod's figures are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no answer within {} s", DEADLINE.as_secs())]
    TooSlow,
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no answer in HTTP")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
    #[error("the status is {0}")]
    Status(StatusCode),
    #[error("the answer is compressed, although nobody asked for that")]
    Compressed,
    #[error(transparent)]
    LineTooLong(#[from] LineTooLong),
    #[error("the metrics have no times of requests")]
    NoTimes,
}

/// The seconds that all requests to a pod have taken since it started, by its metrics.
pub(super) async fn request_seconds(address: SocketAddr) -> Result<f64, Error> {
    timeout(DEADLINE, ask(address)).await.map_err(|_| Error::TooSlow)?
}

async fn ask(address: SocketAddr) -> Result<f64, Error> {
    let socket = TcpStream::connect(address).await.map_err(Error::Connect)?;
    let socket = TokioIo::new(Metered::new(socket, ANSWER));
    let (mut sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(socket).await?;
    let exchange = async {
        let request = Request::get("/metrics")
            .header(HOST, address.to_string())
            .header(USER_AGENT, AGENT)
            .body(Empty::<Bytes>::new())?;
        let mut answer = sender.send_request(request).await?;
        // Not even a redirect is followed: it would name what a pod wants the operator to reach.
        if answer.status() != StatusCode::OK {
            return Err(Error::Status(answer.status()));
        }
        if answer.headers().contains_key(CONTENT_ENCODING) {
            return Err(Error::Compressed);
        }
        let mut seconds = RequestSeconds::default();
        while let Some(frame) = answer.frame().await {
            if let Some(piece) = frame?.data_ref() {
                seconds.push(piece)?;
            }
        }
        seconds.total().ok_or(Error::NoTimes)
    };
    tokio::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        // What it has read before its end is still there.
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests;
