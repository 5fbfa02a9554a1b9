//! What one installation costs the API server where nothing goes wrong.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::sleep;

use crate::{
    QUIET, apart,
    installations::{self, is_ready},
    replica::Replica,
    server::Server,
};

/// Between two steps of Kubernetes: a rollout has some each second.
const PACE: Duration = Duration::from_millis(200);
/// An installation that takes longer is not made at all.
const PATIENCE: usize = 1_000;

/// Patches of the status: that it is there, how its migration ends, and that it is ready.
const STATUSES: usize = 3;
/// Objects, the Job, a Secret, Events, and these.
const WRITES: usize = 18;
/// The first lists, watches, what the cluster serves, Secrets; logs and Events of pods that start, and logs of two minutes.
const READS: usize = 44;

#[test]
fn an_installation_costs_few_requests() {
    let requests = apart(1, create).unwrap();
    // The definition is looked for until it can be read, which it cannot here.
    let counted = requests.iter().filter(|(label, _)| !label.contains("customresourcedefinitions"));
    let number = |reads: bool| -> usize {
        counted
            .clone()
            .filter(|(label, _)| label.starts_with("GET ") == reads)
            .map(|(_, number)| number)
            .sum()
    };
    let found = (requests["PATCH flagsmithdeployments status"], number(false), number(true));
    assert!(found.0 <= STATUSES && found.1 <= WRITES && found.2 <= READS, "{found:?} {requests:#?}");
}

/// The requests until it is ready and quiet, by method and resource.
async fn create() -> BTreeMap<String, usize> {
    let server = Server::new(1);
    let installation = installations::first();
    installations::make(&server, std::slice::from_ref(&installation));
    let operator = Replica::start(&server, 0, false);
    let mut steps = 0;
    while !server.with(|state| is_ready(state.store.get(&installation).unwrap())) {
        sleep(PACE).await;
        server.with(|state| state.step(0.0));
        steps += 1;
        assert!(steps < PATIENCE, "never ready");
    }
    sleep(QUIET).await;
    operator.end();
    server.with(|state| state.requests.clone())
}
