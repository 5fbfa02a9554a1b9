//! What a PostgreSQL server says.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    sync::{Arc, Mutex},
    time::Duration,
};

use flagsmith_operator::observe::DatabaseProbe;
use proptest::prelude::*;

use crate::{
    engine::{changed, fuzz},
    server::{Server, message, report, row},
    support::{LONGEST_HOLD, PASSWORD, look, url},
};

/// A server that has said all it has to say hangs up; a client that waits nevertheless waits for this long.
const PATIENCE: Duration = Duration::from_secs(2);

const WORDS: &[&[u8]] = &[
    b"\0",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x04",
    b"N",
    b"S",
    b"R\0\0\0\x08\0\0\0\0",
    b"R\0\0\0\x08\0\0\0\x03",
    b"R\0\0\0\x0c\0\0\0\x05salt",
    b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0",
    b"R\0\0\0\x0c\0\0\0\x0br=,s",
    b"Z\0\0\0\x05I",
    b"Z\0\0\0\x05T",
    b"D\0\0\0\x06\0\0",
    b"D\0\0\0\x0a\0\x01\xff\xff\xff\xff",
    b"T\0\0\0\x06\0\0",
    b"I\0\0\0\x04",
    b"E\0\0\0\x05\0",
    b"SFATAL\0C57P03\0M",
];

/// Honest answers: without encryption, let in, a few questions answered.
fn conversation(values: &[&[u8]]) -> Vec<u8> {
    let answered = |rows: &[u8]| {
        [message(b'T', b"\0\0"), rows.to_vec(), message(b'C', b"SELECT 1\0"), message(b'Z', b"T")].concat()
    };
    let said = |tag: &[u8], state: &[u8]| [message(b'C', tag), message(b'Z', state)].concat();
    let begin = said(b"BEGIN\0", b"T");
    let commit = said(b"COMMIT\0", b"I");
    let mut all = b"N".to_vec();
    all.extend(message(b'R', &[0; 4]));
    all.extend(message(b'S', b"server_version\x0015.18\0"));
    all.extend(message(b'K', &[0; 8]));
    all.extend(message(b'Z', b"I"));
    for value in values {
        all.extend(&begin);
        all.extend(answered(value));
        all.extend(&commit);
    }
    all
}

#[test]
#[ignore = "ten minutes; part of `make fuzz`"]
fn messages() {
    let version = row(&[b"150018", b"f"]);
    let numbers = row(&[b"1", b"0", b"t", b"2026-11-28 03:00:00+00"]);
    let samples = vec![
        conversation(&[&version, &numbers, &numbers]),
        conversation(&[&version, &row(&[b"f"]), &numbers.repeat(20)]),
        [b"N".as_slice(), &message(b'E', &report("28P01", "password authentication failed"))].concat(),
        [b"N".as_slice(), &message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0")].concat(),
        [conversation(&[&version]), message(b'N', &report("00000", "hello")).repeat(5)].concat(),
    ];
    let said = Arc::<Mutex<Vec<u8>>>::default();
    let script = Arc::clone(&said);
    let server = Server::raw(move |mut stream, _| {
        let bytes = script.lock().unwrap().clone();
        stream.set_read_timeout(Some(PATIENCE))?;
        // The answer to the request for encryption is read alone.
        let (first, rest) = bytes.split_at(bytes.len().min(1));
        stream.write_all(first)?;
        stream.read_exact(&mut [0; 8])?;
        stream.write_all(rest)?;
        stream.shutdown(Shutdown::Write)?;
        std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
    });
    let url = url(server.address, "");
    fuzz("messages", &changed(samples, WORDS), |bytes| {
        said.lock().unwrap().clone_from(&bytes);
        let outcome = look(&url);
        prop_assert!(outcome.held < LONGEST_HOLD, "{outcome:?}");
        prop_assert!(outcome.took < PATIENCE, "{outcome:?}");
        if let DatabaseProbe::Failed(failure) = outcome.probe {
            let told = failure.message;
            prop_assert!(told.chars().count() <= 300 && !told.chars().any(char::is_control), "{told:?}");
            prop_assert!(!told.contains(PASSWORD), "{told:?}");
        }
        Ok(())
    });
}
