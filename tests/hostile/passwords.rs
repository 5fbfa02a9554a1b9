//! Servers that ask for the password.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use flagsmith_operator::{
    observe::ProbeFailureKind as Kind,
    postgres::{Authority, DatabaseUrl, Variable},
};
use rstest::rstest;
use rustls::ServerConfig;

use crate::{
    certificates::{certificate, signed},
    server::{Peer, Server},
    support::{PASSWORD, look, url},
};

const CLEAR_TEXT: i32 = 3;
const MD5: i32 = 5;

fn asking(tls: Option<Arc<ServerConfig>>, method: i32) -> Server {
    Server::start(tls, move |peer| {
        let salt: &[u8] = if method == MD5 { b"salt" } else { b"" };
        peer.ask(method, salt)?;
        peer.receive()?;
        peer.error("28P01", "no")
    })
}

fn trusting(mut url: DatabaseUrl, pem: String) -> DatabaseUrl {
    url.tls.authority = Authority::Pem(pem.into());
    url
}

#[rstest]
fn goes_to_no_unencrypted_server(
    #[values(CLEAR_TEXT, MD5)] method: i32,
    #[values("", "?sslmode=allow", "?sslmode=prefer")] options: &str,
) {
    let server = asking(None, method);
    assert_eq!(look(&url(server.address, options)).kind(), Kind::PasswordWithheld);
    assert_eq!(server.passwords(), [""; 0]);
}

#[rstest]
#[case("", Kind::PasswordWithheld)]
#[case("?sslmode=allow", Kind::PasswordWithheld)]
#[case("?sslmode=prefer", Kind::PasswordWithheld)]
#[case("?sslmode=require", Kind::PasswordWithheld)]
#[case("?sslmode=verify-ca", Kind::Unverified)]
#[case("?sslmode=verify-full", Kind::Unverified)]
#[case("?sslmode=verify-full&sslrootcert=system", Kind::Unverified)]
#[case("?sslrootcert=system", Kind::Unverified)]
fn goes_to_nobody_with_a_certificate_of_his_own(
    #[case] options: &str,
    #[case] expected: Kind,
    #[values(CLEAR_TEXT, MD5)] method: i32,
) {
    let server = asking(Some(certificate("127.0.0.1").0), method);
    assert_eq!(look(&url(server.address, options)).kind(), expected);
    assert_eq!(server.passwords(), [""; 0]);
}

#[rstest]
fn goes_where_the_url_has_it_go_in_the_open(
    #[values(CLEAR_TEXT, MD5)] method: i32,
    #[values(false, true)] by_environment: bool,
) {
    let server = asking(None, method);
    let mut url = url(server.address, if by_environment { "" } else { "?sslmode=disable" });
    if by_environment {
        url.tls.mode = Variable::Value("disable".to_owned());
    }
    assert_eq!(look(&url).kind(), Kind::Authentication);
    let passwords = server.passwords();
    assert_eq!(passwords.len(), 1);
    assert_eq!(passwords[0].contains(PASSWORD), method == CLEAR_TEXT);
}

/// Whoever the authority vouches for gets the password: PostgreSQL's usual self-signed certificate, which is its own
/// authority, and one that an authority has signed.
#[rstest]
#[case::full("?sslmode=verify-full", "127.0.0.1", Kind::Authentication)]
#[case::full_of_another("?sslmode=verify-full", "evil.invalid", Kind::Unverified)]
#[case::authority("?sslmode=verify-ca", "other.invalid", Kind::Authentication)]
#[case::require_and_authority("?sslmode=require", "other.invalid", Kind::Authentication)]
#[case::nothing_said("", "127.0.0.1", Kind::Authentication)]
#[case::nothing_said_of_another("", "evil.invalid", Kind::PasswordWithheld)]
fn goes_to_whom_the_authority_vouches_for(
    #[case] options: &str,
    #[case] name: &str,
    #[case] expected: Kind,
    #[values(certificate, signed)] made: fn(&str) -> (Arc<ServerConfig>, String),
    #[values(CLEAR_TEXT, MD5)] method: i32,
) {
    let (config, pem) = made(name);
    let server = asking(Some(config), method);
    let url = trusting(url(server.address, options), pem);
    assert_eq!(look(&url).kind(), expected);
    let sent = usize::from(expected == Kind::Authentication);
    assert_eq!(server.passwords().len(), sent);
}

#[test]
fn goes_to_nobody_whom_another_authority_vouches_for() {
    let server = asking(Some(signed("127.0.0.1").0), CLEAR_TEXT);
    let url = trusting(url(server.address, "?sslmode=verify-full"), signed("127.0.0.1").1);
    let failure = look(&url).failure();
    assert_eq!(failure.kind, Kind::Unverified);
    assert!(failure.message.contains("spec.database.caFrom"), "{failure:?}");
    assert_eq!(server.passwords(), [""; 0]);
}

/// Where the operator cannot verify, it does not even connect.
#[rstest]
#[case::file_of_the_url("?sslmode=verify-full&sslrootcert=/ca.pem", Variable::Unset, Variable::Unset)]
#[case::file_of_the_environment(
    "?sslmode=verify-ca",
    Variable::Unset,
    Variable::Value("/ca.pem".to_owned())
)]
#[case::both_of_the_environment(
    "",
    Variable::Value("verify-full".to_owned()),
    Variable::Value("/ca.pem".to_owned())
)]
#[case::hidden_mode("", Variable::Hidden, Variable::Unset)]
#[case::unknown_mode("?sslmode=always", Variable::Unset, Variable::Unset)]
fn connects_to_nobody(#[case] options: &str, #[case] mode: Variable, #[case] file: Variable) {
    let connections = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connections);
    let server = Server::raw(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let mut url = url(server.address, options);
    (url.tls.mode, url.tls.root_certificate) = (mode, file);
    assert_eq!(look(&url).kind(), Kind::Unverified);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[test]
fn pgsslmode_of_the_pods_counts() {
    let server = asking(None, CLEAR_TEXT);
    let mut url = url(server.address, "");
    url.tls.mode = Variable::Value("verify-full".to_owned());
    assert_eq!(look(&url).kind(), Kind::Tls);
    assert_eq!(server.passwords(), [""; 0]);
}

/// `channel_binding=require` has the server prove that it knows the password: only SCRAM does.
#[test]
fn goes_nowhere_where_scram_is_asked_for() {
    let server = asking(None, CLEAR_TEXT);
    let url = url(server.address, "?sslmode=disable&channel_binding=require");
    assert_eq!(look(&url).kind(), Kind::PasswordWithheld);
    assert_eq!(server.passwords(), [""; 0]);
}

/// A server that does not know the password cannot end what SCRAM begins.
#[rstest]
#[case::leaves_it_out(|peer: &mut Peer| peer.welcome(), Kind::NotPostgres)]
#[case::guesses(|peer: &mut Peer| { peer.ask(12, b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")?; peer.welcome() }, Kind::Unverified)]
#[case::falls_back(|peer: &mut Peer| peer.ask(CLEAR_TEXT, &[]), Kind::NotPostgres)]
fn scram_with_somebody_else(#[case] end: fn(&mut Peer) -> std::io::Result<()>, #[case] expected: Kind) {
    let server = Server::start(None, move |peer| {
        peer.ask(10, b"SCRAM-SHA-256\0\0")?;
        let (_, first) = peer.receive()?;
        let text = String::from_utf8_lossy(&first).into_owned();
        let nonce = text.split("r=").nth(1).unwrap();
        peer.ask(11, format!("r={nonce}more,s=c2FsdHNhbHRzYWx0,i=4096").as_bytes())?;
        peer.receive()?;
        end(peer)?;
        peer.silence()
    });
    assert_eq!(look(&url(server.address, "")).kind(), expected);
    assert!(!server.passwords().iter().any(|message| message.contains(PASSWORD)));
}

/// Bytes behind the `S` are a man in the middle's, who wants them to be taken for the server's.
#[test]
fn what_was_sent_before_encryption_is_not_taken_for_the_servers() {
    let server = Server::raw(|mut stream, _| {
        stream.read_exact(&mut [0; 8])?;
        stream.write_all(b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")?;
        stream.read_to_end(&mut Vec::new()).map(|_| ())
    });
    assert_eq!(look(&url(server.address, "?sslmode=require")).kind(), Kind::NotPostgres);
}
