//! Requests that fail in every way in which they can.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::{apps::v1::Deployment, policy::v1::PodDisruptionBudget};
use kube::api::ListParams;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{Fate, Network, Operator, Recorder, SOON, Sandbox, condition, config, run};

#[test]
fn a_conflict_on_the_status_is_overcome() {
    run(async {
        let sandbox = Sandbox::new("conflict").await;
        let network = Network::default();
        let mut conflicts = 0;
        network.rule(move |call| {
            // The first attempt, the record of the migration, and Ready may all be hit.
            if call.method == Method::PATCH && call.path.ends_with("/status") && conflicts < 5 {
                conflicts += 1;
                if conflicts % 2 == 1 {
                    return Fate::Refuse(409, "Conflict");
                }
            }
            Fate::Pass
        });
        let recorder = Recorder::start(&sandbox).await;
        let operator = Operator::start(&sandbox.namespace, network).await;
        sandbox.install(json!({})).await;
        sandbox.ready().await;
        recorder.verify("conflict");
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_kind_that_may_not_be_written_keeps_no_other_back() {
    run(async {
        let sandbox = Sandbox::new("forbidden").await;
        let network = Network::default();
        network.rule(|call| {
            if call.is_write() && call.about("poddisruptionbudgets") {
                Fate::Refuse(403, "Forbidden")
            } else {
                Fate::Pass
            }
        });
        let operator = Operator::start(&sandbox.namespace, network).await;
        sandbox.install(json!({})).await;
        let refused = sandbox
            .until(SOON, "refused with everything else running", |it| {
                condition(it, "Ready") == ("False".to_owned(), "Forbidden".to_owned())
                    && condition(it, "ApiAvailable").0 == "True"
                    && condition(it, "TaskProcessorAvailable").0 == "True"
                    && condition(it, "FrontendAvailable").0 == "True"
            })
            .await;
        let diagnosis = &refused.status.unwrap().diagnoses[0];
        assert!(diagnosis.message.contains("PodDisruptionBudget"), "{diagnosis:?}");
        assert!(diagnosis.evidence[0].contains("cannot patch resource"), "{diagnosis:?}");
        assert!(diagnosis.remedy.contains("poddisruptionbudgets"), "{diagnosis:?}");
        let budgets = sandbox.api::<PodDisruptionBudget>().list(&ListParams::default()).await.unwrap();
        assert_eq!(budgets.items.len(), 0);
        operator.network.heal();
        sandbox.ready().await;
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_not_repeated_blindly() {
    run(async {
        let sandbox = Sandbox::new("lost").await;
        let network = Network::default();
        let mut lost = std::collections::BTreeSet::new();
        network.rule(move |call| {
            let matters =
                call.is_write() && (call.about("jobs") || call.about("deployments") || call.about("secrets"));
            if matters && lost.insert(call.path.clone()) { Fate::LoseAnswer } else { Fate::Pass }
        });
        let recorder = Recorder::start(&sandbox).await;
        let operator = Operator::start(&sandbox.namespace, network).await;
        sandbox.install(json!({})).await;
        sandbox.ready().await;
        recorder.verify("lost");
        assert_eq!(recorder.jobs(), 1);
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn bursts_of_errors_only_take_time() {
    run(async {
        let sandbox = Sandbox::new("burst").await;
        let network = Network::default();
        let mut requests = 0;
        network.rule(move |call| {
            if call.is_lease() {
                return Fate::Pass;
            }
            requests += 1;
            match requests % 4 {
                0 if requests < 80 => Fate::Refuse(500, "InternalError"),
                1 if requests < 80 => Fate::Refuse(429, "TooManyRequests"),
                _ => Fate::Pass,
            }
        });
        let recorder = Recorder::start(&sandbox).await;
        let operator = Operator::start(&sandbox.namespace, network).await;
        sandbox.install(json!({})).await;
        sandbox.until(2 * SOON, "Ready", crate::support::converged).await;
        recorder.verify("burst");
        assert_eq!(recorder.jobs(), 1);
        operator.stop().await;
        sandbox.end().await;
    });
}

/// Two installations under one operator.
async fn pair(test: &str, network: Network) -> (Sandbox, Sandbox, Operator) {
    let (first, second) = (Sandbox::new(test).await, Sandbox::empty(test).await);
    // Of a database of its own: on the same one, one migration waits for the other.
    second.database_secret_of("another").await;
    let namespaces = vec![first.namespace.clone(), second.namespace.clone()];
    let operator = Operator::start_with(config().await, namespaces, network, None);
    (first, second, operator)
}

/// The first of two installations suffers `fate` at every request about `what`; the second is not touched by it,
/// and the first recovers.
async fn reconcile_guarded(test: &str, what: &'static str, fate: Fate) {
    let network = Network::default();
    let (bad, good, operator) = pair(test, network.clone()).await;
    let namespace = bad.namespace.clone();
    network.rule(move |call| {
        if call.path.contains(&namespace) && !call.is_watch() && !call.is_list() && call.about(what) {
            fate
        } else {
            Fate::Pass
        }
    });
    bad.install(json!({})).await;
    good.install(json!({})).await;
    good.ready().await;
    assert!(operator.runs());
    let deployments = bad.api::<Deployment>().list(&ListParams::default()).await.unwrap();
    assert_eq!(deployments.items.len(), 0, "the fault did not happen");
    network.heal();
    bad.ready().await;
    operator.stop().await;
    bad.end().await;
    good.end().await;
}

#[test]
fn an_object_whose_requests_hang_delays_no_other() {
    run(reconcile_guarded("hang", "secrets/db", Fate::Hang));
}

#[test]
fn an_object_whose_pass_panics_stops_no_other() {
    run(reconcile_guarded("panic", "secrets/db", Fate::Panic));
}

#[test]
fn an_operator_ends_soon_while_a_request_hangs() {
    run(async {
        let sandbox = Sandbox::new("stop").await;
        let network = Network::default();
        network.rule(|call| if call.is_write() { Fate::Hang } else { Fate::Pass });
        let operator = Operator::start(&sandbox.namespace, network.clone()).await;
        sandbox.install(json!({})).await;
        let waited = timeout(SOON, async {
            while network.writes().is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        waited.await.expect("a pass begins soon");
        // The request's own deadline is ten seconds.
        let took = operator.stop_within(Duration::from_secs(15)).await;
        println!("ended after {took:?}");
        sandbox.end().await;
    });
}
