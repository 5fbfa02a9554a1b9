//! `DATABASE_URL`.

use flagsmith_operator::postgres::DatabaseUrl;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use crate::engine::{changed, fuzz};

/// In the place of the password of every sample.
const SECRET: &str = "hunter2secret";

const SAMPLES: &[&str] = &[
    "postgresql://flagsmith:hunter2secret@db.example:5432/flagsmith",
    "postgres://u:hunter2secret@10.0.0.7/n?sslmode=verify-full&sslrootcert=/ca.pem&channel_binding=require",
    "postgresql://u:hunter2secret@[fd00::7]:6432/n?options=-c%20lock_timeout%3D1s",
    "postgresql://u:hunter2secret@%2Fvar%2Frun%2Fpostgresql/n",
    "postgresql:///n?host=db&user=u&password=hunter2secret",
    "pgsql://u:hunter2secret@db/n#fragment",
    "mysql://u:hunter2secret@db/n",
    "hunter2secret:rest",
];

const WORDS: &[&[u8]] = &[
    b"%",
    b"%00",
    b"%0a",
    b"%1b",
    b"%2F",
    b"%40",
    b"%ff",
    b"@",
    b":",
    b"/",
    b"//",
    b"?",
    b"#",
    b"[",
    b"]",
    b"&",
    b"=",
    b"\\",
    b" ",
    b"\n",
    b"\t",
    b"\0",
    b"\xe2\x80\xae",
    b"xn--",
    b"\xc3\xa4",
    b"sslmode=",
    b"host=",
    b"65536",
    b"0x7f.1",
];

#[test]
#[ignore = "ten minutes; part of `make fuzz`"]
fn urls() {
    let samples = SAMPLES.iter().map(|it| it.as_bytes().to_vec()).collect();
    fuzz("urls", &changed(samples, WORDS), |bytes| {
        let value = String::from_utf8_lossy(&bytes).into_owned();
        match DatabaseUrl::parse(&value) {
            Err(error) => {
                let told = error.to_string();
                prop_assert!(!told.contains(SECRET), "{told}");
            }
            Ok(url) => {
                prop_assert!(
                    !url.identity.host.is_empty() && !url.identity.name.is_empty() && !url.user.is_empty()
                );
                let _ = url.trust();
                let password =
                    url.password.as_ref().map(|it| it.expose_secret().to_owned()).unwrap_or_default();
                let elsewhere = [&url.user, &url.identity.host, &url.identity.name, &url.server_name];
                if password.contains(SECRET) && !elsewhere.into_iter().any(|it| it.contains(SECRET)) {
                    let told = format!("{url:?}");
                    prop_assert!(!told.contains(SECRET), "{told}");
                }
            }
        }
        Ok(())
    });
}
