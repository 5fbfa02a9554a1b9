//! Hosts that lead to the operator itself.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use flagsmith_operator::{
    observe::{ProbeFailureKind as Kind, database::Databases},
    postgres::DatabaseUrl,
    runtime::metrics::Metrics,
};
use rstest::rstest;

use crate::{
    server::Server,
    support::{look_with, url},
};

#[rstest]
#[case("127.0.0.1")]
#[case("127.1")]
#[case("0.0.0.0")]
#[case("0")]
#[case("0x7f000001")]
#[case("2130706433")]
#[case("127.0.0.1.")]
#[case("localhost")]
#[case("LOCALHOST")]
#[case("localhost.")]
#[case("[::1]")]
#[case("[::]")]
#[case("[::ffff:127.0.0.1]")]
#[case("[::ffff:0.0.0.0]")]
#[case("[::127.0.0.1]")]
#[case("[64:ff9b::7f00:1]")]
#[case("169.254.169.254")]
#[case("169.254.0.1")]
#[case("[::ffff:169.254.169.254]")]
#[case("[fe80::1]")]
#[case("[febf::1]")]
#[case("%2Fvar%2Frun%2Fpostgresql")]
fn are_not_connected_to(#[case] host: &str) {
    let connections = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connections);
    let server = Server::raw(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let url = DatabaseUrl::parse(&format!("postgresql://a:b@{host}:{}/n", server.address.port())).unwrap();
    let databases = Databases::new(Metrics::new());
    assert_eq!(look_with(&databases, &url).kind(), Kind::AddressRefused);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

/// What allows loopback in tests allows nothing else.
#[test]
fn link_local_is_never_connected_to() {
    let databases = Databases::new(Metrics::new()).allowing_loopback();
    let url = url("169.254.169.254:80".parse().unwrap(), "");
    assert_eq!(look_with(&databases, &url).kind(), Kind::AddressRefused);
}
