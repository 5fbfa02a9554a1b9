//! `ready HOST:PORT`: whether the operators behind an address are ready, for the chart's `helm test`; the image has no
//! other program that could ask.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, time::Duration};

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    failure::{Failure, HEALTHY, UNHEALTHY},
    output::print,
};

/// How long an answer may take: as long as the kubelet's own probe waits.
const DEADLINE: Duration = Duration::from_secs(5);
/// The most addresses that are asked: more than the chart lets there be replicas.
const ADDRESSES: usize = 16;
/// Bytes of an answer, which is a line for each gate.
const ANSWER: usize = 64 * 1024;

/// The arguments of `ready`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReadyArgs {
    /// Where `/readyz` is served; each address of the host is asked
    #[arg(value_name = "HOST:PORT")]
    address: String,
}

/// Prints what each says: exit status 0 when all are ready, 1 when one is not.
pub(super) fn run(args: &ReadyArgs) -> Result<ExitCode, Failure> {
    super::context::block_on(async {
        let found = timeout(DEADLINE, lookup_host(&args.address)).await;
        let addresses: BTreeSet<SocketAddr> = match found {
            Ok(Ok(addresses)) => addresses.take(ADDRESSES).collect(),
            Ok(Err(error)) => return Err(nowhere(&args.address, &error.to_string())),
            Err(_) => return Err(nowhere(&args.address, "no answer from DNS")),
        };
        let mut well = true;
        for address in addresses {
            let (ready, says) = ask(address).await;
            well &= ready;
            print(&format!(
                "{address} is {}\n{}\n",
                if ready { "ready" } else { "not ready" },
                says.trim_end()
            ));
        }
        Ok(ExitCode::from(if well { HEALTHY } else { UNHEALTHY }))
    })
}

fn nowhere(address: &str, why: &str) -> Failure {
    Failure::cluster(format!("there is no address of {address}: {why}"), "kubectl get endpointslices")
}

async fn ask(address: SocketAddr) -> (bool, String) {
    match timeout(DEADLINE, readyz(address)).await {
        Ok(Ok((status, text))) => (status == StatusCode::OK, text),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn readyz(
    address: SocketAddr,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let socket = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(socket).await?;
    let exchange = async {
        let request = Request::get("/readyz").header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        // What was read before its end is still there.
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};

    use super::*;

    async fn served(status: StatusCode, text: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/readyz", get(move || async move { (status, text) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn says_what_the_operator_says() {
        let ready = served(StatusCode::OK, "[+] crd: ok\n").await;
        assert_eq!(ask(ready).await, (true, "[+] crd: ok\n".to_owned()));
        let closed = served(StatusCode::SERVICE_UNAVAILABLE, "[-] crd: the CRD is not installed\n").await;
        assert_eq!(ask(closed).await, (false, "[-] crd: the CRD is not installed\n".to_owned()));
    }

    #[tokio::test]
    async fn nobody_there_is_not_ready() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (ready, says) = ask(address).await;
        assert!(!ready && says.contains("refused"), "{says}");
    }
}
