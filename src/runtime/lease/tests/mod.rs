//! The election against an API server in memory. The clock stands still while anybody works.

mod leadership;
mod requests;
mod server;

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    candidate::{LEASE_DURATION, RENEW_DEADLINE},
    *,
};
use server::{Health, Replica, Server, pair};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn holder(lease: &Value) -> Option<&str> {
    lease["spec"]["holderIdentity"].as_str()
}

/// It expires by itself, also in a process that was suspended.
#[tokio::test(start_paused = true)]
async fn leadership_ends_at_its_moment() {
    let leadership = Leadership {
        until: Some(Instant::now() + seconds(1)),
        day: clock::now().checked_add(seconds(1)).ok(),
    };
    sleep(Duration::from_millis(999)).await;
    assert!(leadership.leads());
    sleep(Duration::from_millis(1)).await;
    assert!(!leadership.leads());
    assert!(!Leadership::default().leads());
}

#[tokio::test(start_paused = true)]
async fn the_first_takes_the_lease_and_says_in_it_who_it_is() {
    let server = Server::default();
    let replica = Replica::start(&server, "first");
    sleep(seconds(1)).await;
    assert!(replica.leads());
    let methods: Vec<Method> = server.requests().into_iter().map(|(_, method)| method).collect();
    assert_eq!(methods, [Method::GET, Method::POST]);
    let lease = server.lease();
    assert_eq!(lease["metadata"]["labels"], json!({ LABEL.0: LABEL.1 }));
    assert_eq!(lease["metadata"]["annotations"], json!({ NAMESPACES_ANNOTATION: "prod,test" }));
    let spec = &lease["spec"];
    assert_eq!(holder(&lease), Some(replica.identity.as_str()));
    assert_eq!(spec["leaseDurationSeconds"], LEASE_DURATION.as_secs());
    assert_eq!(spec["leaseTransitions"], 0);
    assert!(spec["renewTime"].is_string() && spec["acquireTime"] == spec["renewTime"], "{spec}");
}

#[tokio::test(start_paused = true)]
async fn who_leads_renews_with_one_request_each_and_wakes_nobody() {
    let server = Server::default();
    let [mut first, second] = pair(&server).await;
    second.task.abort();
    sleep(seconds(1)).await;
    first.leading.mark_unchanged();
    server.requests();
    let before = server.lease();
    for _ in 0..600 {
        sleep(Duration::from_millis(100)).await;
        assert!(first.leads());
    }
    assert!(!first.leading.has_changed().unwrap());
    let requests = server.requests();
    // A minute, and 5 s more or less between two.
    assert!((10..=14).contains(&requests.len()), "{requests:?}");
    assert!(requests.iter().all(|(_, method)| method == Method::PUT), "{requests:?}");
    let after = server.lease();
    assert_ne!(after["spec"]["renewTime"], before["spec"]["renewTime"]);
    for same in ["holderIdentity", "acquireTime", "leaseTransitions", "leaseDurationSeconds"] {
        assert_eq!(after["spec"][same], before["spec"][same], "{same}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_soon() {
    let server = Server::default();
    let mut replica = Replica::start(&server, "first");
    replica.until(true).await;
    server.write().await;
    server.with(|state| state.health = Health::Refusing);
    server.requests();
    sleep(seconds(9)).await;
    let failed = server.requests();
    // The first after 5 s, the others each second.
    assert!((4..=6).contains(&failed.len()), "{failed:?}");
    server.with(|state| state.health = Health::Well);
    for _ in 0..200 {
        assert!(replica.leads());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_answer_stops_leading_before_another_one_may_begin_and_leads_again_afterwards() {
    let server = Server::default();
    let mut replica = Replica::start(&server, "first");
    replica.until(true).await;
    let renewed = server.write().await;
    server.with(|state| state.health = Health::Silent);
    replica.until(false).await;
    let led = renewed.elapsed();
    assert!(led >= RENEW_DEADLINE && led < RENEW_DEADLINE + Duration::from_millis(100), "{led:?}");
    server.with(|state| state.health = Health::Well);
    // The request without an answer, and one look of a standby.
    assert!(replica.until(true).await < CALL_DEADLINE + seconds(2));
    assert_eq!(holder(&server.lease()), Some(replica.identity.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_standby_looks_often_and_takes_over_from_a_dead_leader_at_the_moment_that_it_may() {
    let server = Server::default();
    let [first, mut second] = pair(&server).await;
    sleep(seconds(20)).await;
    assert!(first.leads() && !second.leads());
    let renewed = server.write().await;
    first.task.abort();
    let before = server.lease();
    second.until(true).await;
    let requests = server.requests();
    let mut seen = requests.iter().filter(|(at, method)| method == Method::GET && *at >= renewed);
    let (taken, _) = requests.iter().rfind(|(_, method)| method == Method::PUT).unwrap();
    let (saw, _) = seen.next().unwrap();
    let late = taken.duration_since(*saw + LEASE_DURATION);
    assert!(*taken >= *saw + LEASE_DURATION && late < Duration::from_millis(20), "{late:?}");
    assert!((9..=13).contains(&seen.count()), "{requests:?}");
    let after = server.lease();
    assert_eq!(holder(&after), Some(second.identity.as_str()));
    assert_eq!(after["spec"]["leaseTransitions"], 1);
    assert_ne!(after["spec"]["acquireTime"], before["spec"]["acquireTime"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_begin_together_one_leads() {
    let server = Server::default();
    let written = Written::default();
    let _guard = logs(&written);
    let replicas = [Replica::start(&server, "first"), Replica::start(&server, "second")];
    for _ in 0..60 {
        sleep(seconds(1)).await;
        let leaders: Vec<_> = replicas.iter().filter(|replica| replica.leads()).collect();
        assert_eq!(leaders.len(), 1);
        assert_eq!(holder(&server.lease()), Some(leaders[0].identity.as_str()));
    }
    // That the other one was faster is no failure.
    assert_eq!(written.count("cannot use the lease"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_somebody_else_holds_stops_and_competes_again() {
    let server = Server::default();
    let mut replica = Replica::start(&server, "first");
    replica.until(true).await;
    server.write().await;
    let holds = |lease: &mut Value| lease["spec"]["holderIdentity"] = json!("another");
    server.with(|state| state.edit(holds));
    let stopped = replica.until(false).await;
    assert!(stopped < seconds(6), "{stopped:?}");
    assert_eq!(holder(&server.lease()), Some("another"));
    let took = replica.until(true).await;
    assert!(took + seconds(1) >= LEASE_DURATION && took < LEASE_DURATION + seconds(1), "{took:?}");
    assert_eq!(server.lease()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_stop_leads_until_its_work_has_ended_and_then_releases_the_lease() {
    let server = Server::default();
    let [mut first, mut second] = pair(&server).await;
    first.shutdown.cancel();
    sleep(seconds(10)).await;
    assert!(first.leads() && !second.leads());
    let before = server.lease();
    first.drained.cancel();
    assert!(first.ends().await < seconds(1));
    assert!(!first.leads());
    let after = server.lease();
    assert_eq!(holder(&after), None);
    assert_ne!(after["spec"]["renewTime"], before["spec"]["renewTime"]);
    assert!(second.until(true).await < seconds(2));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_leaves_the_lease_to_expire() {
    let server = Server::default();
    let mut replica = Replica::start(&server, "first");
    replica.until(true).await;
    replica.shutdown.cancel();
    let ended = replica.ends().await;
    assert!(ended >= DRAIN_LIMIT && ended < DRAIN_LIMIT + seconds(1), "{ended:?}");
    assert!(!replica.leads());
    assert_eq!(holder(&server.lease()), Some(replica.identity.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_asked_to_stop_writes_nothing() {
    let server = Server::default();
    let [first, mut second] = pair(&server).await;
    sleep(seconds(1)).await;
    let before = server.lease();
    first.task.abort();
    second.shutdown.cancel();
    assert!(second.ends().await < Duration::from_millis(100));
    assert_eq!(server.lease(), before);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_has_edited_is_released_and_another_ones_is_not() {
    for (change, released) in [
        (json!({ "metadata": { "labels": { "seen": "yes" } } }), true),
        (json!({ "spec": { "holderIdentity": "another" } }), false),
    ] {
        let server = Server::default();
        let mut replica = Replica::start(&server, "first");
        replica.until(true).await;
        server.with(|state| {
            state.edit(|lease| {
                for (part, fields) in change.as_object().unwrap() {
                    for (field, value) in fields.as_object().unwrap() {
                        lease[part][field] = value.clone();
                    }
                }
            });
        });
        replica.shutdown.cancel();
        replica.drained.cancel();
        replica.ends().await;
        assert!(!replica.leads());
        assert_eq!(holder(&server.lease()), if released { None } else { Some("another") });
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_from_the_beginning_is_asked_as_often_as_any_other() {
    let server = Server::default();
    server.with(|state| state.health = Health::Refusing);
    let mut replica = Replica::start(&server, "first");
    sleep(seconds(15)).await;
    let requests = server.requests();
    assert!((9..=13).contains(&requests.len()), "{requests:?}");
    server.with(|state| state.health = Health::Well);
    assert!(replica.until(true).await < seconds(2));
}

/// Everything that was written to the log.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn count(&self, words: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(words).count()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logs(written: &Written) -> tracing::subscriber::DefaultGuard {
    let sink = written.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
    tracing::subscriber::set_default(subscriber)
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_logged_once_and_so_is_its_end() {
    let server = Server::default();
    let written = Written::default();
    let _guard = logs(&written);
    let mut replica = Replica::start(&server, "first");
    replica.until(true).await;
    let told = || {
        ["cannot use the lease", "the lease can be used again", " leading", "no longer leading"]
            .map(|words| written.count(words))
    };
    assert_eq!(told(), [0, 0, 1, 0]);
    server.with(|state| state.health = Health::Refusing);
    sleep(seconds(60)).await;
    // The renewal fails, and then the looks.
    let [outages, ends, ..] = told();
    assert!((1..=2).contains(&outages) && ends == 0, "{:?}", told());
    server.with(|state| state.health = Health::Well);
    sleep(seconds(60)).await;
    assert_eq!(told(), [outages, 1, 3, 1]);
}
