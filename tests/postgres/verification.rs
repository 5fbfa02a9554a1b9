//! Whom the operator believes, and whom libpq believes.

use std::{fmt::Write as _, net::Ipv4Addr};

use flagsmith_operator::{
    observe::{DatabaseProbe, ProbeFailureKind as Kind},
    postgres::{Authority, DatabaseUrl},
};

use crate::{
    certificates::{certificate, issued},
    postgresql::Postgresql,
    support::{PASSWORD, look},
};

/// The server's certificate is for this name; it is reached by address too.
const NAME: &str = "localhost";

const MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

fn kind(url: &DatabaseUrl) -> Result<(), (Kind, String)> {
    let outcome = look(url);
    match outcome.probe {
        DatabaseProbe::Reachable { version, .. } => {
            assert_eq!(version / 10_000, 15);
            Ok(())
        }
        DatabaseProbe::Failed(failure) => Err((failure.kind, failure.message)),
        DatabaseProbe::NotProbed => panic!("not looked at"),
    }
}

/// With the same authorities, named by `spec.database.caFrom` for the one and by `sslrootcert` for the other.
#[test]
fn is_what_libpq_does() {
    let own = issued(NAME);
    let other = issued(NAME).authority;
    let server = Postgresql::start(Ipv4Addr::LOCALHOST.into(), PASSWORD, Some(&own));
    let mut differences = String::new();
    for host in [NAME, "127.0.0.1"] {
        for mode in MODES {
            for (which, authority) in [("own", &own.authority), ("other", &other)] {
                let file = server.file(which, authority);
                let base = format!(
                    "postgresql://flagsmith:{PASSWORD}@{host}:{}/flags?sslmode={mode}",
                    server.address.port()
                );
                let mut url = DatabaseUrl::parse(&format!("{base}&sslrootcert=/of/the/pods.crt")).unwrap();
                url.tls.authority = Authority::Pem(authority.as_str().into());
                let seen = kind(&url);
                let libpq = server.libpq_gets_in(&format!("{base}&sslrootcert={}", file.display()));
                if seen.is_ok() != libpq {
                    writeln!(differences, "{host} {mode} {which}: libpq {libpq}, operator {seen:?}").unwrap();
                }
                if let Err((kind, message)) = seen {
                    assert_eq!(kind, Kind::Unverified, "{host} {mode} {which}: {message}");
                    let expected = if which == "other" {
                        "name yours in spec.database.caFrom"
                    } else {
                        "not one for the host that DATABASE_URL names"
                    };
                    assert!(message.contains(expected), "{host} {mode} {which}: {message}");
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Stricter than libpq: in clear text, or as a hash that is as good, the password goes only to a verified server.
#[test]
fn decides_who_gets_a_password() {
    let own = issued(NAME);
    let server = Postgresql::start(Ipv4Addr::LOCALHOST.into(), PASSWORD, Some(&own));
    for role in ["clear", "hashed"] {
        for (options, authority, expected) in [
            ("?sslmode=verify-full", Some(&own.authority), Ok(())),
            ("?sslmode=verify-ca", Some(&own.authority), Ok(())),
            ("", Some(&own.authority), Ok(())),
            // The owner's own word: there is nothing to verify.
            ("?sslmode=disable", None, Ok(())),
            ("", None, Err(Kind::PasswordWithheld)),
            ("?sslmode=prefer", None, Err(Kind::PasswordWithheld)),
            ("?sslmode=require", None, Err(Kind::PasswordWithheld)),
            ("?sslmode=verify-full", None, Err(Kind::Unverified)),
        ] {
            let mut url = DatabaseUrl::parse(&format!(
                "postgresql://{role}:{PASSWORD}@{NAME}:{}/flags{options}",
                server.address.port()
            ))
            .unwrap();
            if let Some(pem) = authority {
                url.tls.authority = Authority::Pem(pem.as_str().into());
            }
            let seen = kind(&url).map_err(|(kind, _)| kind);
            assert_eq!(seen, expected, "{role} {options} {}", authority.is_some());
        }
    }
}

/// What PostgreSQL's packages make at installation: a certificate that is its own authority.
#[test]
fn takes_a_certificate_that_is_its_own_authority() {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let pem = made.cert.pem();
    let own =
        crate::certificates::Issued { certificate: made.cert, key: made.signing_key, authority: pem.clone() };
    let server = Postgresql::start(Ipv4Addr::LOCALHOST.into(), PASSWORD, Some(&own));
    let (_, stranger) = certificate(NAME);
    for (authority, expected) in [(pem, Ok(())), (stranger, Err(Kind::Unverified))] {
        let mut url = DatabaseUrl::parse(&format!(
            "postgresql://flagsmith:{PASSWORD}@{NAME}:{}/flags?sslmode=verify-full",
            server.address.port()
        ))
        .unwrap();
        url.tls.authority = Authority::Pem(authority.into());
        assert_eq!(kind(&url).map_err(|(kind, _)| kind), expected);
    }
}
