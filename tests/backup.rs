//! The backup's script with a real `pg_dump`: libpq sends the password that the URL has, and no command line shows it.
//! Needs Debian's `postgresql-client` (any version).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it must be"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

/// Every character that a URL, a shell, a service file or a password file would treat in a way of its own.
const PASSWORD: &str = " p@ss:w/o?r#d%25\\ '\"`$(id)*&=+\n\u{e4}\u{20ac} ";

/// How long a step of the login may take; it takes milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// The code with which a client asks for TLS instead of saying who it is (protocol 1234.5679).
const SSL_REQUEST: u32 = 80_877_103;

/// Where Debian puts `pg_dump`: not in the PATH but behind a wrapper that needs a configuration.
fn pg_dump() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .expect("postgresql-client is installed: apt-get install postgresql-client");
    versions
        .map(|version| version.unwrap().path().join("bin"))
        .find(|bin| bin.join("pg_dump").exists())
        .expect("postgresql-client is installed: apt-get install postgresql-client")
}

struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The next message of a client, without type and length; the first of a connection has no type.
fn message(stream: &mut TcpStream, typed: bool) -> Vec<u8> {
    let mut head = vec![0; if typed { 5 } else { 4 }];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap());
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn the_password_is_in_no_command_line_and_reaches_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let encoded = percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC);
    let url = format!(
        "postgresql://role%40x:{encoded}@127.0.0.1:{port}/na%20me?sslmode=disable&options=-c%20lock_timeout%3D5s"
    );
    let path = format!("{}:{}", pg_dump().display(), std::env::var("PATH").unwrap());
    let script = Script(
        Command::new("sh")
            .args([
                "-c",
                concat!(
                    include_str!("../src/resources/database_url.sh"),
                    include_str!("../src/resources/backup.sh")
                ),
            ])
            .arg(directory.path().join("flagsmith.dump"))
            .env("PATH", path)
            .env("DATABASE_URL", &url)
            .spawn()
            .unwrap(),
    );
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let start = message(&mut stream, false);
    assert_ne!(start[..4], SSL_REQUEST.to_be_bytes(), "sslmode reached libpq");
    let texts: Vec<&str> = std::str::from_utf8(&start[4..]).unwrap().split('\0').collect();
    for pair in [
        ["user", "role@x"],
        ["database", "na me"],
        ["options", "-c lock_timeout=5s"],
        ["application_name", "pg_dump"],
    ] {
        assert!(texts.windows(2).any(|it| it == pair), "{pair:?}: {texts:?}");
    }
    // AuthenticationCleartextPassword.
    stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).unwrap();
    let mut password = message(&mut stream, true);
    assert_eq!(password.pop(), Some(0));
    assert_eq!(String::from_utf8(password).unwrap(), PASSWORD);

    // pg_dump waits for the answer; this is what everybody on the node sees of it meanwhile.
    let lines = command_lines(script.0.id());
    assert!(lines.iter().any(|it| it.contains("pg_dump")) && lines.len() > 1, "{lines:?}");
    for line in lines {
        assert!(!line.contains("p@ss") && !line.contains(&encoded.to_string()), "{line}");
    }
}

/// The command lines of a process and its children.
fn command_lines(parent: u32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let processes = children.split_whitespace().map(str::to_owned);
    processes
        .chain([parent.to_string()])
        .map(|process| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap();
            String::from_utf8_lossy(&line).replace('\0', " ")
        })
        .collect()
}
