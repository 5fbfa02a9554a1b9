//! A URL that the operator puts together from parts, with everything in the password that a URL could be broken by.

use std::{net::Ipv4Addr, process::Command};

use flagsmith_operator::{
    observe::DatabaseProbe,
    postgres::{DatabaseIdentity, DatabaseUrl},
};
use secrecy::ExposeSecret as _;

use crate::{postgresql::Postgresql, support::look};

const PASSWORD: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_{|}~ `%41+ä"##;

/// What Django is given of it (dj-database-url: `urlsplit` and `unquote`).
const AS_DJANGO: &str =
    "import sys, urllib.parse as u; print(u.unquote(u.urlsplit(sys.argv[1]).password), end='')";

#[test]
fn every_reader_of_the_url_gets_in() {
    let server = Postgresql::start(Ipv4Addr::LOCALHOST.into(), &PASSWORD.replace('\'', "''"), None);
    let compose = |password: &str| {
        let identity = DatabaseIdentity {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: server.address.port(),
            name: "flags".to_owned(),
        };
        DatabaseUrl::compose(&identity, "flagsmith", password, &[("sslmode", "prefer")])
    };
    let url = compose(PASSWORD);
    assert!(server.libpq_gets_in(url.expose_secret()));
    assert!(!server.libpq_gets_in(compose("another").expose_secret()));
    let seen = look(&DatabaseUrl::parse(url.expose_secret()).unwrap()).probe;
    assert!(matches!(seen, DatabaseProbe::Reachable { .. }), "{seen:?}");
    let python = Command::new("python3").args(["-c", AS_DJANGO, url.expose_secret()]).output().unwrap();
    assert_eq!(String::from_utf8(python.stdout).unwrap(), PASSWORD);
}
