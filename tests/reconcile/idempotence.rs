//! An installation in its desired state is left alone.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::support::{Network, Operator, Sandbox, run};

/// How long after Ready the last counts may take to reach the status, with a margin.
const QUIET: Duration = Duration::from_secs(5);

/// A restarted operator makes its first pass within this time, also on a machine that is busy otherwise.
const FIRST_PASS: Duration = Duration::from_secs(30);

/// How many kinds are watched: seven of children everywhere, pods, and the installations themselves. HTTPRoutes
/// only where the cluster has them.
const KINDS: usize = 10;

#[test]
fn further_passes_make_no_request() {
    run(async {
        let sandbox = Sandbox::new("idempotence").await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        sandbox.ready().await;
        sleep(QUIET).await;
        operator.network.clear();
        // Each of these is an event that starts a pass over an unchanged specification.
        for pass in 0..5 {
            sandbox
                .patch(json!({ "metadata": { "annotations": { "example.com/pass": pass.to_string() } } }))
                .await;
            sleep(Duration::from_millis(500)).await;
        }
        sleep(Duration::from_secs(10)).await;
        assert_eq!(operator.network.writes(), Vec::<String>::new());
        let reads: Vec<_> = operator.network.calls().into_iter().filter(|call| call.is_read()).collect();
        assert!(
            reads.iter().all(|call| call.path.ends_with("/gateway.networking.k8s.io/v1")),
            "a quiet installation was read: {reads:?}"
        );
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_restarted_operator_lists_each_kind_once_and_writes_nothing() {
    run(async {
        let sandbox = Sandbox::new("restart").await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({ "version": "2.265.0" })).await;
        sandbox.ready().await;
        sleep(QUIET).await;
        operator.stop().await;

        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        let secrets = || operator.network.count(|call| call.is_read() && call.about("secrets"));
        let begun = Instant::now();
        while secrets() == 0 && begun.elapsed() < FIRST_PASS {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(QUIET).await;
        assert_eq!(operator.network.writes(), Vec::<String>::new());
        let lists: Vec<_> = operator.network.calls().into_iter().filter(|call| call.is_list()).collect();
        let mut paths: Vec<_> = lists.iter().map(|call| call.path.clone()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), lists.len(), "a kind was listed twice: {lists:?}");
        assert!(lists.len() >= KINDS - 1 && lists.len() <= KINDS, "{lists:?}");
        // Both Secrets, and nothing else, were read.
        assert_eq!(secrets(), 2);
        operator.stop().await;
        sandbox.end().await;
    });
}
