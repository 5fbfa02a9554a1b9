//! Two replicas of the operator, of which one writes.

use std::time::Duration;

use flagsmith_operator::runtime::lease::LeaseSettings;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{Fate, Network, Operator, Recorder, SOON, Sandbox, config, run};

const LEASE: &str = "operator";

/// How soon another replica writes after a kill, and the upgrade-free change itself.
const AFTER_KILL: Duration = Duration::from_secs(20);

/// How long the holder of the lease may take to see that it was given away: one renewal and its request.
const STEPS_DOWN: Duration = Duration::from_secs(8);

async fn replica(sandbox: &Sandbox, pod: &str) -> Operator {
    let lease = LeaseSettings::new(&sandbox.namespace, LEASE, pod).watching(vec![sandbox.namespace.clone()]);
    Operator::start_with(config().await, vec![sandbox.namespace.clone()], Network::default(), Some(lease))
}

/// Changes something that must reach a child, and returns how long that took.
async fn change(sandbox: &Sandbox, seconds: i32) -> Duration {
    let start = Instant::now();
    let object = sandbox.patch(json!({ "spec": { "requestTimeoutSeconds": seconds } })).await;
    sandbox
        .until(SOON, "looked at", |it| {
            it.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation
        })
        .await;
    start.elapsed()
}

#[test]
fn one_of_two_writes_and_the_other_takes_over() {
    run(async {
        let sandbox = Sandbox::new("replicas").await;
        let recorder = Recorder::start(&sandbox).await;
        let mut first = replica(&sandbox, "first").await;
        let mut second = replica(&sandbox, "second").await;
        sandbox.install(json!({})).await;
        sandbox.ready().await;
        if first.network.writes().is_empty() {
            std::mem::swap(&mut first, &mut second);
        }
        assert!(!first.network.writes().is_empty());
        assert_eq!(second.network.writes(), Vec::<String>::new(), "the standby has written");

        first.kill().await;
        let took = change(&sandbox, 60).await;
        println!("another replica has written {took:?} after the kill");
        assert!(took < AFTER_KILL, "{took:?}");

        let third = replica(&sandbox, "third").await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(third.network.writes(), Vec::<String>::new(), "the standby has written");
        second.stop().await;
        let took = change(&sandbox, 90).await;
        println!("another replica has written {took:?} after an orderly end");
        assert!(took < Duration::from_secs(6), "{took:?}");
        sandbox.ready().await;
        recorder.verify("replicas");
        third.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_replica_that_lost_its_lease_in_the_middle_of_a_pass_writes_nothing_more() {
    run(async {
        let sandbox = Sandbox::new("lease-loss").await;
        let operator = replica(&sandbox, "loser").await;
        // In the middle of a pass, for longer than the lease takes to notice.
        operator.network.rule(|call| {
            if call.is_write() && call.about("deployments/flagsmith-api") { Fate::Hang } else { Fate::Pass }
        });
        sandbox.install(json!({})).await;
        let hangs = async {
            while operator.network.count(|call| call.is_write() && call.about("deployments/flagsmith-api"))
                == 0
            {
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(SOON, hangs).await.expect("the pass comes to the Deployment");
        let before: Lease = sandbox.api().get(LEASE).await.unwrap();
        assert!(before.spec.unwrap().holder_identity.unwrap().starts_with("loser"));
        sandbox
            .merge::<Lease>(
                LEASE,
                json!({ "spec": { "holderIdentity": "somebody-else", "leaseDurationSeconds": 3600 } }),
            )
            .await;
        sleep(STEPS_DOWN).await;
        let writes = operator.network.writes();
        // The hanging request ends after ten seconds, and the pass could go on.
        sleep(Duration::from_secs(12)).await;
        sandbox.patch(json!({ "metadata": { "annotations": { "example.com/touched": "1" } } })).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(operator.network.writes(), writes);
        let held: Lease = sandbox.api().get(LEASE).await.unwrap();
        assert_eq!(held.spec.unwrap().holder_identity.as_deref(), Some("somebody-else"));
        operator.stop().await;
        sandbox.end().await;
    });
}
