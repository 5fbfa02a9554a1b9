//! What each request comes to.

use rstest::rstest;

use super::{
    super::store::{Error, Store},
    server::{Health, Server, settings},
    *,
};

/// A store that has read the lease which another replica has made, if one has.
async fn store(server: &Server, made: bool) -> (Store, LeaseObject) {
    let store = |pod: &str| Store::new(server.client(), settings(pod));
    let own = store("own");
    let mut lease = LeaseObject::default();
    if made {
        store("another").create(soon()).await.unwrap().unwrap();
        lease = own.read(soon()).await.unwrap().unwrap();
    }
    (own, lease)
}

fn soon() -> Instant {
    Instant::now() + CALL_DEADLINE
}

#[tokio::test(start_paused = true)]
async fn somebody_who_was_faster_is_a_result_and_no_failure() {
    let server = Server::default();
    let (store, lease) = store(&server, true).await;
    assert!(store.create(soon()).await.unwrap().is_none(), "there is one already");
    server.with(|state| state.edit(|_| {}));
    assert!(store.renew(lease.clone(), soon()).await.unwrap().is_none(), "it was changed since");
    assert!(!store.release(lease.clone(), soon()).await.unwrap(), "it was changed since");
    server.with(|state| state.lease = None);
    assert!(store.read(soon()).await.unwrap().is_none(), "it was deleted");
    assert!(store.renew(lease.clone(), soon()).await.unwrap().is_none(), "it was deleted");
    assert!(!store.release(lease, soon()).await.unwrap(), "it was deleted");
}

#[rstest]
#[case::no_word(Health::Silent, "no answer to VERB the lease in time")]
#[case::a_bad_one(Health::Refusing, "cannot VERB the lease")]
#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_properly_is_a_failure(#[case] health: Health, #[case] words: &str) {
    let server = Server::default();
    let (store, lease) = store(&server, true).await;
    server.with(|state| state.health = health);
    let begun = Instant::now();
    let errors: [(&str, Option<Error>); 4] = [
        ("get", store.read(soon()).await.err()),
        ("create", store.create(soon()).await.err()),
        ("update", store.renew(lease.clone(), soon()).await.err()),
        ("release", store.release(lease, soon()).await.err()),
    ];
    for (verb, error) in errors {
        assert_eq!(error.unwrap().to_string(), words.replace("VERB", verb));
    }
    let waited = if health == Health::Silent { 4 * CALL_DEADLINE } else { Duration::ZERO };
    assert!(begun.elapsed() >= waited && begun.elapsed() < waited + Duration::from_secs(1));
}

/// Whoever takes it says so in it; whoever releases it changes nothing else that others look at.
#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_and_released() {
    let server = Server::default();
    let (store, lease) = store(&server, true).await;
    let taken = store.renew(lease, soon()).await.unwrap().unwrap();
    let spec = taken.spec.clone().unwrap();
    assert!(spec.holder_identity.unwrap().starts_with("own_"));
    assert_eq!(spec.lease_transitions, Some(1));
    assert_eq!(spec.acquire_time, spec.renew_time);
    assert!(store.release(taken, soon()).await.unwrap());
    let released = server.lease();
    assert_eq!(holder(&released), None);
    assert_eq!(released["spec"]["leaseTransitions"], 1);
}
