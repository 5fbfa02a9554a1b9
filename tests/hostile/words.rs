//! What servers say, as it is told on.

use std::io::Write as _;

use flagsmith_operator::observe::ProbeFailureKind as Kind;
use rstest::rstest;

use crate::{
    server::Server,
    support::{PASSWORD, look, url},
};

/// Nothing of what listens there is told, not even the first byte.
#[rstest]
#[case::http(b"HTTP/1.1 400 Bad Request\r\n\r\n")]
#[case::ssh(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")]
#[case::smtp(b"220 mail.example ESMTP\r\n")]
#[case::redis(b"-ERR unknown command\r\n")]
#[case::mysql(b"J\0\0\0\n8.0.36\0")]
#[case::error_before_encryption(b"E\0\0\0\x20SFATAL\0C28000\0Mbanner\0\0")]
#[case::nothing(b"")]
fn no_postgresql(#[case] banner: &'static [u8], #[values("", "?sslmode=disable")] options: &str) {
    if banner.starts_with(b"E") && options == "?sslmode=disable" {
        return;
    }
    let server = Server::raw(move |mut stream, _| {
        stream.write_all(banner)?;
        // Not closed with the client's request unread: that would be a reset, which can overtake the banner.
        std::io::copy(&mut stream.try_clone()?.take_some(), &mut std::io::sink()).map(|_| ())
    });
    let failure = look(&url(server.address, options)).failure();
    assert_eq!(failure.kind, Kind::NotPostgres, "{failure:?}");
    assert_eq!(failure.message, "what listens there does not speak PostgreSQL, or hung up before it did");
}

trait TakeSome: std::io::Read + Sized {
    /// The client's first message.
    fn take_some(self) -> std::io::Take<Self> {
        self.take(8)
    }
}
impl TakeSome for std::net::TcpStream {}

#[test]
fn an_error_that_echoes_and_decorates() {
    let server = Server::start(None, |peer| {
        peer.ask(3, &[])?;
        peer.receive()?;
        peer.error(
            "28P01",
            &format!(
                "\u{1b}]0;pwn\u{7}\u{1b}[2J\u{202e}no {PASSWORD}\nfor postgresql://u:topsecret@h/n password=hunter2 {}",
                "x".repeat(10_000)
            ),
        )
    });
    let failure = look(&url(server.address, "?sslmode=disable")).failure();
    assert_eq!(failure.kind, Kind::Authentication);
    for hidden in ["topsecret", "hunter2", PASSWORD, "pwn", "\u{202e}"] {
        assert!(!failure.message.contains(hidden), "{hidden:?} in {failure:?}");
    }
    assert!(failure.message.starts_with("no ***"), "{failure:?}");
}
