//! What one installation costs the API server where nothing goes wrong.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::sleep;

use crate::{QUIET, apart, installation, is_ready, prepare, server::Server, start};

/// Between two steps of Kubernetes: a rollout has some each second.
const PACE: Duration = Duration::from_millis(200);
/// An installation that takes longer is not made at all.
const PATIENCE: usize = 1_000;

#[test]
fn an_installation_costs_few_requests() {
    let requests = apart(create).unwrap();
    println!("{requests:#?} {}", requests.values().sum::<usize>());
}

/// The requests until it is ready and quiet, by method and resource.
async fn create() -> BTreeMap<String, usize> {
    let server = Server::new(1);
    prepare(&server);
    let operator = start(&server);
    let mut steps = 0;
    while !server.with(|state| is_ready(state.store.get(&installation()).unwrap())) {
        sleep(PACE).await;
        server.with(|state| state.step(0.0));
        steps += 1;
        assert!(steps < PATIENCE, "never ready");
    }
    sleep(QUIET).await;
    operator.abort();
    server.with(|state| state.requests.clone())
}
