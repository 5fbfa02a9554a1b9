//! The reader of logs.

use std::{fs, path::Path, time::Duration};

use flagsmith_operator::{causes::diagnose_log, model::Component};
use proptest::prelude::*;

use crate::{
    engine::{changed, fuzz},
    support::busy,
};

/// Processor time for one log of at most 128 KiB, in a build that is not optimised: such a log takes some ten
/// milliseconds, and one that is read in the square of its length takes minutes.
pub const LONGEST: Duration = Duration::from_millis(1_500);

/// Bytes of a sample that are used: its end, where the trouble mostly is.
pub const SAMPLE: usize = 24 * 1024;

/// What all findings of a log may show. A status has room for ten diagnoses.
const SHOWN: usize = 256 * 1024;

pub const WORDS: &[&[u8]] = &[
    b"[",
    b" [",
    b"]",
    b"\n",
    b"\r",
    b"\r\n",
    b"{",
    b"}",
    b"\"",
    b"\\\"",
    b"\\n",
    b"\\u0000",
    b"\0",
    b"\x1b]0;x\x07",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"\xff",
    b"\xf0\x9f",
    b" | ",
    b" - - ",
    b"Traceback (most recent call last):\n",
    b"  File \"/app/x.py\", line 1, in f\n    f()\n",
    b"\nThe above exception was the direct cause of the following exception:\n\n",
    b"  Applying app.0001_initial...",
    b" OK\n",
    b"{\"levelname\": \"ERROR\", \"message\": \"",
    b"2026-11-28T03:00:00.000000Z [error    ] ",
    b"[2026-11-28 03:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:8)\n",
    b"django.db.utils.OperationalError: ",
    b"connection to server at \"db\" (10.0.0.7), port 5432 failed: FATAL:  ",
    b"DETAIL:  ",
    b"HINT:  ",
];

#[test]
#[ignore = "ten minutes; part of `make fuzz`"]
fn logs() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let samples: Vec<Vec<u8>> = files
        .into_iter()
        .map(|file| {
            let log = fs::read(file).unwrap();
            log[log.len().saturating_sub(SAMPLE)..].to_vec()
        })
        .collect();
    let component = prop::sample::select(vec![
        Component::Migrations,
        Component::Api,
        Component::TaskProcessor,
        Component::Frontend,
    ]);
    let input = (component, changed(samples, WORDS));
    fuzz("logs", &input, |(component, log)| {
        let begun = busy();
        let found = diagnose_log(component, None, "log", &log);
        let took = busy().saturating_sub(begun);
        prop_assert!(took < LONGEST, "{took:?} for {} bytes", log.len());
        let mut shown = 0;
        for (_, diagnosis) in &found {
            let texts = [&diagnosis.message, &diagnosis.remedy];
            for text in texts.into_iter().chain(&diagnosis.evidence) {
                let text = text.to_string();
                shown += text.len();
                let hostile = text
                    .chars()
                    .find(|it| it.is_control() && *it != '\n' || ('\u{202a}'..='\u{202e}').contains(it));
                prop_assert!(hostile.is_none(), "{:?}: {hostile:?} in {text:?}", diagnosis.code);
            }
        }
        prop_assert!(shown < SHOWN, "{shown} bytes of findings");
        Ok(())
    });
}
