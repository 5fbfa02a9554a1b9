//! The leader election against a real API server. `KUBECONFIG` names the cluster; every test uses a lease of its
//! own in the namespace `default` and deletes it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use flagsmith_operator::runtime::lease::candidate::LEASE_DURATION;
use jiff::{SignedDuration, Timestamp};
use kube::api::DeleteParams;
use rstest::rstest;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

mod outage;
mod support;

use support::{AFTER_KILL, AFTER_RELEASE, Replica, SOON, TestLease, client, pair};

#[tokio::test]
async fn of_several_replicas_exactly_one_leads() {
    let lease = TestLease::new("several").await;
    let mut replicas = Vec::new();
    for pod in ["a", "b", "c"] {
        replicas.push(Replica::start(client().await, &lease.name, pod));
    }
    let elected = async {
        while !replicas.iter().any(Replica::leads) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, elected).await.expect("one leads soon");
    let leader = replicas.iter().position(Replica::leads).unwrap();
    // Longer than a lease lasts, so that it is also renewed.
    let start = Instant::now();
    while start.elapsed() < LEASE_DURATION + SOON {
        let leaders: Vec<_> = replicas.iter().map(Replica::leads).collect();
        assert!(leaders.iter().enumerate().all(|(i, leads)| *leads == (i == leader)), "{leaders:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lease.holder().await.as_ref(), Some(&replicas[leader].identity));
    lease.end(replicas).await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced() {
    let lease = TestLease::new("kill").await;
    let [first, mut second] = pair(&lease).await;
    sleep(Duration::from_secs(7)).await;
    assert!(!second.leads());
    let leading = first.leading.clone();
    first.kill();
    let took = second.until(true, AFTER_KILL).await;
    assert!(!leading.borrow().leads(), "the killed one still counts as leader after {took:?}");
    assert_eq!(lease.api.get(&lease.name).await.unwrap().spec.unwrap().lease_transitions, Some(1));
    lease.end([second]).await;
}

#[tokio::test]
async fn a_released_lease_is_taken_at_once_but_not_before_the_work_has_ended() {
    let lease = TestLease::new("release").await;
    let [mut first, mut second] = pair(&lease).await;
    first.shutdown.cancel();
    sleep(Duration::from_secs(3)).await;
    assert!(first.leads() && !second.leads(), "leadership moved before the work had ended");
    first.drained.cancel();
    first.until(false, SOON).await;
    let took = second.until(true, AFTER_RELEASE).await;
    timeout(SOON, &mut first.task).await.expect("ends").unwrap();
    println!("taken {took:?} after the release");
    lease.end([second]).await;
}

#[tokio::test]
async fn a_lease_that_was_edited_meanwhile_is_released_too() {
    let lease = TestLease::new("edited").await;
    let [first, mut second] = pair(&lease).await;
    lease.label().await;
    first.drained.cancel();
    first.shutdown.cancel();
    second.until(true, AFTER_RELEASE).await;
    lease.end([second]).await;
}

#[tokio::test]
async fn a_standby_ends_at_once_and_leaves_the_lease_alone() {
    let lease = TestLease::new("standby").await;
    let [first, mut second] = pair(&lease).await;
    sleep(Duration::from_secs(1)).await;
    second.shutdown.cancel();
    timeout(SOON, &mut second.task).await.expect("ends without its work having drained").unwrap();
    assert_eq!(lease.holder().await.as_ref(), Some(&first.identity));
    assert!(first.leads());
    lease.end([first]).await;
}

#[tokio::test]
async fn a_leader_whose_lease_was_given_to_another_steps_down() {
    let lease = TestLease::new("foreign").await;
    let mut leader = Replica::start(client().await, &lease.name, "leader");
    leader.until(true, SOON).await;
    lease.edit(json!({"holderIdentity": "somebody-else"})).await;
    // Noticed at the next renewal.
    let took = leader.until(false, Duration::from_secs(7)).await;
    println!("stepped down after {took:?}");
    assert_eq!(lease.holder().await.as_deref(), Some("somebody-else"));
    // Somebody else never renews.
    leader.until(true, AFTER_KILL).await;
    lease.end([leader]).await;
}

#[tokio::test]
async fn an_edit_that_leaves_the_holder_does_not_cost_leadership() {
    let lease = TestLease::new("label").await;
    let mut leader = Replica::start(client().await, &lease.name, "leader");
    leader.until(true, SOON).await;
    lease.label().await;
    leader.leading.mark_unchanged();
    sleep(Duration::from_secs(14)).await;
    assert!(!leader.leading.has_changed().unwrap() && leader.leads());
    assert!(lease.api.get(&lease.name).await.unwrap().metadata.labels.unwrap().contains_key("seen"));
    lease.end([leader]).await;
}

#[tokio::test]
async fn a_deleted_lease_is_not_taken_while_its_holder_may_still_lead() {
    let lease = TestLease::new("deleted").await;
    let [first, second] = pair(&lease).await;
    sleep(Duration::from_secs(2)).await;
    lease.api.delete(&lease.name, &DeleteParams::default()).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < AFTER_KILL {
        assert!(!(first.leads() && second.leads()), "both lead {:?} after the deletion", start.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(first.leads() || second.leads(), "neither leads after {AFTER_KILL:?}");
    lease.end([first, second]).await;
}

/// The times in a lease are those of another machine's clock.
#[rstest]
#[case::behind("behind", SignedDuration::from_hours(-1))]
#[case::ahead("ahead", SignedDuration::from_hours(1))]
#[tokio::test]
async fn a_holder_whose_clock_differs_leads_as_long_as_it_renews(
    #[case] test: &str,
    #[case] offset: SignedDuration,
) {
    let lease = TestLease::new(test).await;
    let mut first = Replica::start(client().await, &lease.name, "first");
    first.until(true, SOON).await;
    first.kill();
    let renew = async || {
        // Microseconds, as the API server stores them.
        let now = format!("{:.6}", Timestamp::now() + offset);
        lease.edit(json!({"holderIdentity": "other", "renewTime": now})).await;
    };
    renew().await;
    let mut second = Replica::start(client().await, &lease.name, "second");
    let start = Instant::now();
    while start.elapsed() < LEASE_DURATION + SOON {
        renew().await;
        assert!(!second.leads(), "taken after {:?}", start.elapsed());
        sleep(Duration::from_secs(1)).await;
    }
    // It renews no more.
    second.until(true, AFTER_KILL).await;
    lease.end([second]).await;
}
