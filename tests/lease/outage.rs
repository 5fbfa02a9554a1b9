//! A leader that cannot reach the API server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use flagsmith_operator::runtime::{
    client::{Wire, WireBody, connect_with},
    lease::candidate::RENEW_DEADLINE,
    metrics::Metrics,
};
use http::{Request, Response};
use kube::client::Body;
use tokio::time::sleep;
use tower::{BoxError, Layer, Service};

use crate::support::{AFTER_KILL, Replica, SOON, TestLease, client, config};

/// What happens to requests on their way to the API server.
#[derive(Clone, Default)]
struct Network(Arc<AtomicU8>);

impl Network {
    const WORKS: u8 = 0;
    const REFUSES: u8 = 1;
    const SWALLOWS: u8 = 2;

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::SeqCst);
    }
}

impl Layer<Wire> for Network {
    type Service = Faulty;

    fn layer(&self, inner: Wire) -> Faulty {
        Faulty { inner, network: self.clone() }
    }
}

struct Faulty {
    inner: Wire,
    network: Network,
}

impl Service<Request<Body>> for Faulty {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = futures::future::BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.network.0.load(Ordering::SeqCst) {
            Network::WORKS => self.inner.call(request),
            Network::REFUSES => Box::pin(async { Err("the test refuses the connection".into()) }),
            _ => Box::pin(std::future::pending()),
        }
    }
}

async fn survives_an_outage(test: &str, outage: u8) {
    let lease = TestLease::new(test).await;
    let network = Network::default();
    let cut_off = connect_with(config().await, Metrics::new(), &network).unwrap();
    let mut first = Replica::start(cut_off, &lease.name, "first");
    first.until(true, SOON).await;
    let mut second = Replica::start(client().await, &lease.name, "second");
    sleep(Duration::from_secs(6)).await;

    network.set(outage);
    let took = first.until(false, RENEW_DEADLINE + Duration::from_secs(1)).await;
    assert!(!second.leads(), "the other took over before the leader stepped down after {took:?}");
    second.until(true, AFTER_KILL).await;
    println!("stepped down after {took:?}");

    // Back, it is a standby like any other.
    network.set(Network::WORKS);
    sleep(Duration::from_secs(4)).await;
    assert!(!first.leads() && second.leads());
    second.kill();
    first.until(true, AFTER_KILL).await;
    lease.end([first]).await;
}

#[tokio::test]
async fn a_leader_that_is_refused_steps_down_in_time_and_comes_back() {
    survives_an_outage("refused", Network::REFUSES).await;
}

#[tokio::test]
async fn a_leader_that_gets_no_answer_steps_down_in_time_and_comes_back() {
    survives_an_outage("silent", Network::SWALLOWS).await;
}
