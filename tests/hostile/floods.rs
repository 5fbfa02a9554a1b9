//! Servers that send more than anybody asked for, or nothing at all.

use std::{io::Write as _, thread, time::Duration};

use flagsmith_operator::{
    observe::{ProbeFailureKind as Kind, database::Databases},
    runtime::metrics::Metrics,
};
use rstest::rstest;

use crate::{
    certificates::certificate,
    server::{Peer, Server, message, report, row},
    support::{look, look_with, url},
};

type Script = fn(&mut Peer) -> std::io::Result<()>;

#[rstest]
#[case::of_two_gib(i32::MAX, Kind::LimitExceeded)]
#[case::of_a_mib(1 << 20, Kind::LimitExceeded)]
#[case::of_four_gib(-1, Kind::LimitExceeded)]
#[case::of_zero(0, Kind::NotPostgres)]
#[case::of_one(1, Kind::NotPostgres)]
#[case::of_two(2, Kind::NotPostgres)]
#[case::of_three(3, Kind::NotPostgres)]
#[case::without_a_body(4, Kind::NotPostgres)]
fn a_length_before_anybody_is_known(
    #[case] length: i32,
    #[case] expected: Kind,
    #[values(false, true)] encrypted: bool,
) {
    let tls = encrypted.then(|| certificate("evil.invalid").0);
    let server = Server::start(tls, move |peer| {
        peer.header(b'R', length)?;
        peer.silence()
    });
    assert_eq!(look(&url(server.address, "")).kind(), expected);
}

#[rstest]
#[case::header_of_two_gib(|peer: &mut Peer| { peer.until_question()?; peer.header(b'D', i32::MAX)?; peer.silence() })]
#[case::header_and_data(|peer: &mut Peer| { peer.header(b'R', i32::MAX)?; peer.flood(&[0; 1024]) })]
#[case::rows(|peer: &mut Peer| { peer.until_question()?; peer.flood(&row(&[b"150000", b"f"])) })]
#[case::empty_rows(|peer: &mut Peer| { peer.until_question()?; peer.flood(&row(&[])) })]
#[case::rows_of_a_mib(|peer: &mut Peer| { peer.until_question()?; peer.flood(&row(&[&vec![b'x'; 1 << 20]])) })]
#[case::rows_of_many_columns(|peer: &mut Peer| { peer.until_question()?; peer.flood(&row(&vec![b"".as_slice(); 16_000])) })]
#[case::long_rows(|peer: &mut Peer| { peer.until_question()?; peer.flood(&row(&[&vec![b'1'; 60_000], b"f"])) })]
#[case::notices(|peer: &mut Peer| { peer.until_question()?; peer.flood(&message(b'N', &report("00000", "hello"))) })]
#[case::notices_before_the_login(|peer: &mut Peer| peer.flood(&message(b'N', &report("00000", "hello"))))]
#[case::parameters(|peer: &mut Peer| { peer.welcome()?; peer.receive()?; peer.flood(&message(b'S', b"a\0b\0")) })]
#[case::notifications(|peer: &mut Peer| { peer.welcome()?; peer.receive()?; peer.flood(&message(b'A', b"\0\0\0\x01a\0b\0")) })]
#[case::descriptions(|peer: &mut Peer| { peer.until_question()?; peer.flood(&message(b'T', b"\0\0")) })]
#[case::completions(|peer: &mut Peer| { peer.until_question()?; peer.flood(&message(b'C', b"SELECT 1\0")) })]
#[case::errors(|peer: &mut Peer| { peer.until_question()?; peer.flood(&message(b'E', &report("XX000", "no"))) })]
#[case::keys(|peer: &mut Peer| { peer.ask(0, &[])?; peer.flood(&message(b'K', &[0; 8])) })]
#[case::error_of_two_mib(|peer: &mut Peer| peer.error("28000", &"x".repeat(2 << 20)))]
fn too_much(#[case] script: Script, #[values(false, true)] encrypted: bool) {
    let tls = encrypted.then(|| certificate("evil.invalid").0);
    let server = Server::start(tls, script);
    assert_eq!(look(&url(server.address, "")).kind(), Kind::LimitExceeded);
}

/// What a hostile server does between two questions counts for the whole session.
#[test]
fn a_server_that_answers_and_then_floods() {
    let server = Server::start(None, |peer| {
        peer.until_question()?;
        peer.bytes(&row(&[b"150000", b"f"]))?;
        peer.send(b'C', b"SELECT 1\0")?;
        peer.ready(b'T')?;
        peer.receive()?;
        peer.flood(&message(b'S', b"a\0b\0"))
    });
    assert_eq!(look(&url(server.address, "")).kind(), Kind::LimitExceeded);
}

#[rstest]
#[case::from_the_start(|_: &mut Peer| thread::sleep(Duration::from_secs(7)))]
#[case::in_the_middle(|peer: &mut Peer| { peer.until_question().ok(); peer.silence().ok(); })]
#[case::in_drips(|peer: &mut Peer| {
    let notice = message(b'N', &report("00000", "hello"));
    for byte in notice.iter().cycle() {
        if peer.bytes(&[*byte]).is_err() { return; }
        thread::sleep(Duration::from_millis(20));
    }
})]
fn silence(#[case] script: fn(&mut Peer)) {
    let server = Server::start(None, move |peer| {
        script(peer);
        Ok(())
    });
    assert_eq!(look(&url(server.address, "")).kind(), Kind::TimedOut);
}

/// Encryption begins with a handshake, in which nothing is known of the server either.
#[rstest]
#[case::zeroes(vec![0; 1024])]
#[case::records_of_a_handshake_without_end([&[0x16, 3, 3, 0x10, 0], [2, 0xff, 0xff, 0xff].as_slice(), &[0; 4092]].concat())]
#[case::empty_records(vec![0x17, 3, 3, 0, 0])]
#[case::warnings(vec![0x15, 3, 3, 0, 2, 1, 90])]
fn a_handshake_that_is_none(#[case] piece: Vec<u8>) {
    let server = Server::raw(move |mut stream, _| {
        stream.write_all(b"S")?;
        let many = piece.repeat(64 * 1024 / piece.len());
        loop {
            stream.write_all(&many)?;
        }
    });
    let kind = look(&url(server.address, "?sslmode=require")).kind();
    assert!(matches!(kind, Kind::Tls | Kind::NotPostgres | Kind::LimitExceeded), "{kind:?}");
}

#[rstest]
#[case("2147483648")]
#[case("100001")]
#[case("99999999999999999999999999")]
fn iterations_of_scram(#[case] iterations: &'static str) {
    let server = Server::start(None, move |peer| {
        peer.ask(10, b"SCRAM-SHA-256\0\0")?;
        let (_, first) = peer.receive()?;
        let text = String::from_utf8_lossy(&first).into_owned();
        let nonce = text.split("r=").nth(1).unwrap();
        let challenge = format!("r={nonce}more,s=c2FsdHNhbHRzYWx0,i={iterations}");
        peer.ask(11, challenge.as_bytes())?;
        peer.silence()
    });
    assert_eq!(look(&url(server.address, "")).kind(), Kind::LimitExceeded);
}

/// Four sessions are all that a namespace has at once; each gets what it may, and others wait for their turn.
#[test]
fn twenty_hostile_servers_at_once() {
    let servers: Vec<Server> = (0..20)
        .map(|_| {
            Server::start(None, |peer| {
                peer.until_question()?;
                peer.flood(&row(&[&vec![b'1'; 60_000], b"f"]))
            })
        })
        .collect();
    let databases = Databases::new(Metrics::new()).allowing_loopback();
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                let outcome = look_with(&databases, &url(server.address, ""));
                assert_eq!(outcome.kind(), Kind::LimitExceeded);
            });
        }
    });
}
