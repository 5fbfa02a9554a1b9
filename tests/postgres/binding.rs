//! Somebody in the middle, who decrypts what both ends say and passes it on. SCRAM hides the password from him; that he
//! is there shows only by its channel binding (RFC 5802, section 6).

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
};

use flagsmith_operator::{
    observe::{DatabaseProbe, ProbeFailureKind as Kind},
    postgres::DatabaseUrl,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::{
    certificates::{Issued, certificate, issued},
    postgresql::Postgresql,
    server::{Peer, Server},
    support::{PASSWORD, look},
};

const NAME: &str = "localhost";

/// Who is in the middle.
#[derive(Clone, Copy)]
struct Middle {
    /// Whether he encrypts towards the client.
    encrypts: bool,
    /// Whether he takes `SCRAM-SHA-256-PLUS` out of the server's offer.
    strips: bool,
}

/// What comes of it.
struct Row {
    what: &'static str,
    middle: Option<Middle>,
    options: &'static str,
    /// How the client's first message begins.
    says: &'static str,
    seen: Result<(), Kind>,
}

const PASSES_ON: Middle = Middle { encrypts: true, strips: false };
const STRIPS: Middle = Middle { encrypts: true, strips: true };

const ROWS: &[Row] = &[
    Row { what: "nobody", middle: None, options: "", says: "", seen: Ok(()) },
    Row {
        what: "nobody, required",
        middle: None,
        options: "?channel_binding=require",
        says: "",
        seen: Ok(()),
    },
    Row { what: "nobody, no encryption", middle: None, options: "?sslmode=disable", says: "", seen: Ok(()) },
    Row {
        what: "nobody, no encryption, required",
        middle: None,
        options: "?sslmode=disable&channel_binding=require",
        says: "",
        seen: Err(Kind::PasswordWithheld),
    },
    Row {
        what: "passes on",
        middle: Some(PASSES_ON),
        options: "",
        says: "SCRAM-SHA-256-PLUS p=tls-server-end-point,,",
        seen: Err(Kind::Unverified),
    },
    Row {
        what: "passes on, encryption required",
        middle: Some(PASSES_ON),
        options: "?sslmode=require",
        says: "SCRAM-SHA-256-PLUS p=tls-server-end-point,,",
        seen: Err(Kind::Unverified),
    },
    Row {
        what: "passes on, switched off",
        middle: Some(PASSES_ON),
        options: "?channel_binding=disable",
        says: "SCRAM-SHA-256 n,,",
        seen: Ok(()),
    },
    Row {
        what: "strips",
        middle: Some(STRIPS),
        options: "",
        says: "SCRAM-SHA-256 y,,",
        seen: Err(Kind::Unverified),
    },
    Row {
        what: "strips, encryption required",
        middle: Some(STRIPS),
        options: "?sslmode=require",
        says: "SCRAM-SHA-256 y,,",
        seen: Err(Kind::Unverified),
    },
    Row {
        what: "strips, required",
        middle: Some(STRIPS),
        options: "?channel_binding=require",
        says: "",
        seen: Err(Kind::PasswordWithheld),
    },
    Row {
        what: "does not encrypt, passes on",
        middle: Some(Middle { encrypts: false, strips: false }),
        options: "",
        says: "",
        seen: Err(Kind::Unverified),
    },
    // Nothing shows him to a client that takes an unencrypted connection.
    Row {
        what: "does not encrypt, strips",
        middle: Some(Middle { encrypts: false, strips: true }),
        options: "",
        says: "SCRAM-SHA-256 n,,",
        seen: Ok(()),
    },
];

#[test]
fn is_noticed_as_libpq_notices_him() {
    let own = issued(NAME);
    let server = Postgresql::start(Ipv4Addr::LOCALHOST.into(), PASSWORD, Some(&own));
    let mut wrong = String::new();
    for row in ROWS {
        let middle = row.middle.map(|middle| between(middle, server.address, &own));
        let port = middle.as_ref().map_or(server.address, |it| it.address).port();
        let text = format!("postgresql://flagsmith:{PASSWORD}@127.0.0.1:{port}/flags{}", row.options);
        let seen = match look(&DatabaseUrl::parse(&text).unwrap()).probe {
            DatabaseProbe::Reachable { .. } => Ok(()),
            DatabaseProbe::Failed(failure) => Err(failure),
            DatabaseProbe::NotProbed => panic!("not looked at"),
        };
        let first = middle.map(|it| first_message(&it)).unwrap_or_default();
        if seen.as_ref().map_err(|failure| failure.kind) != row.seen.as_ref().map_err(|kind| *kind)
            || !first.starts_with(row.says)
        {
            writeln!(wrong, "{}: {seen:?}, {first:?}", row.what).unwrap();
        }
        let middle = row.middle.map(|middle| between(middle, server.address, &own));
        let port = middle.as_ref().map_or(server.address, |it| it.address).port();
        let text = format!("postgresql://flagsmith:{PASSWORD}@127.0.0.1:{port}/flags{}", row.options);
        // libpq has another try without encryption where an encrypted one has failed, and does not say so.
        let sure = if row.options.is_empty() { text + "?sslmode=require" } else { text };
        let sure =
            if row.middle.is_some_and(|it| !it.encrypts) { sure.replace("require", "prefer") } else { sure };
        if server.libpq_gets_in(&sure) != row.seen.is_ok() {
            writeln!(wrong, "{}: libpq does otherwise", row.what).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The mechanism that the client chose, and what it said first.
fn first_message(server: &Server) -> String {
    let message = server.passwords().first().cloned().unwrap_or_default();
    match message.split_once('\0') {
        // Behind the name there are four bytes of a length.
        Some((mechanism, rest)) => format!("{mechanism} {}", rest.get(4..).unwrap_or_default()),
        None => message,
    }
}

/// A proxy that ends the encryption and talks to the server in the open is no attack: the server offers no binding.
#[test]
fn a_proxy_that_ends_the_encryption_is_none() {
    let server = Postgresql::start(Ipv4Addr::LOCALHOST.into(), PASSWORD, None);
    let address = server.address;
    let proxy = Server::start(Some(certificate(NAME).0), move |peer| {
        relay(peer, &mut TcpStream::connect(address)?, false)
    });
    let text =
        format!("postgresql://flagsmith:{PASSWORD}@127.0.0.1:{}/flags?sslmode=require", proxy.address.port());
    let seen = look(&DatabaseUrl::parse(&text).unwrap());
    assert!(matches!(seen.probe, DatabaseProbe::Reachable { .. }), "{seen:?}");
    assert!(first_message(&proxy).starts_with("SCRAM-SHA-256 y,,"));
    assert!(server.libpq_gets_in(&text));
}

/// Somebody between the clients and an encrypting server.
fn between(middle: Middle, server: SocketAddr, own: &Issued) -> Server {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(own.authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let tls = middle.encrypts.then(|| certificate(NAME).0);
    Server::start(tls, move |peer| {
        let mut socket = TcpStream::connect(server)?;
        socket.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
        let mut answer = [0];
        socket.read_exact(&mut answer)?;
        assert_eq!(&answer, b"S");
        let name = ServerName::try_from(NAME).unwrap();
        let session = ClientConnection::new(Arc::clone(&config), name).map_err(io::Error::other)?;
        relay(peer, &mut StreamOwned::new(session, socket), middle.strips)
    })
}

/// Passes on what client and server say. They take turns: the server goes on until it waits for a word.
fn relay<S: Read + Write>(client: &mut Peer, server: &mut S, strips: bool) -> io::Result<()> {
    let mut start = vec![0, 3, 0, 0];
    start.extend(b"user\0flagsmith\0database\0flags\0\0");
    let mut whole = u32::try_from(start.len() + 4).unwrap().to_be_bytes().to_vec();
    whole.extend(start);
    server.write_all(&whole)?;
    server.flush()?;
    loop {
        loop {
            let mut header = [0; 5];
            server.read_exact(&mut header)?;
            let [tag, length @ ..] = header;
            let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
            server.read_exact(&mut body)?;
            let asks = tag == b'R' && matches!(body[3], 3 | 5 | 10 | 11);
            if strips && tag == b'R' && body[3] == 10 {
                let offer = String::from_utf8_lossy(&body[4..]).replace("SCRAM-SHA-256-PLUS\0", "");
                body.truncate(4);
                body.extend(offer.as_bytes());
            }
            client.send(tag, &body)?;
            if asks || tag == b'Z' {
                break;
            }
        }
        let (tag, body) = client.receive()?;
        let mut message = vec![tag];
        message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend(body);
        server.write_all(&message)?;
        server.flush()?;
    }
}
