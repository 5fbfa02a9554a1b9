//! What a pod says on the port of its metrics.

use std::time::Duration;

use flagsmith_operator::observe::exposition::{LINE, LineTooLong, RequestSeconds};
use proptest::{prelude::*, sample::Index};

use crate::{
    engine::{changed, fuzz},
    support::busy,
};

/// Processor time for one answer of at most 128 KiB, in a build that is not optimised: a millisecond is usual.
const LONGEST: Duration = Duration::from_millis(100);

const SAMPLE: &str = "# HELP flagsmith_http_server_request_duration_seconds HTTP request duration in seconds\n\
    # TYPE flagsmith_http_server_request_duration_seconds histogram\n\
    flagsmith_http_server_request_duration_seconds_sum{method=\"GET\",response_status=\"200\",route=\"/api/v1/flags/\"} 12.5\n\
    flagsmith_http_server_request_duration_seconds_bucket{le=\"0.1\",method=\"GET\"} 99\n\
    flagsmith_http_server_request_duration_seconds_sum{method=\"GET\",route=\"/x} 7 y/\"} 1.0e+1 1700000000000\n\
    python_info{implementation=\"CPython\"} 1.0\n";

const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"{",
    b"}",
    b"\"",
    b"\\\"",
    b" ",
    b"\0",
    b"\xff",
    b"NaN",
    b"+Inf",
    b"-Inf",
    b"1e308",
    b"-0",
    b"0x10",
    b"#",
    b"flagsmith_http_server_request_duration_seconds_sum",
    b"flagsmith_http_server_request_duration_seconds_sum{} 1e308\n",
];

#[test]
#[ignore = "ten minutes; part of `make fuzz`"]
fn metrics() {
    let input = (changed(vec![SAMPLE.as_bytes().to_vec()], WORDS), any::<Index>());
    fuzz("metrics", &input, |(text, cut)| {
        let begun = busy();
        let whole = read(&[&text]);
        let took = busy().saturating_sub(begun);
        prop_assert!(took < LONGEST, "{took:?} for {} bytes", text.len());
        if let Ok(Some(seconds)) = whole {
            prop_assert!(seconds.is_finite() && seconds >= 0.0, "{seconds}");
        }
        let longest = text.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or_default();
        prop_assert_eq!(whole.is_err(), longest > LINE);
        let (first, second) = text.split_at(cut.index(text.len() + 1));
        prop_assert_eq!(read(&[first, second]), whole);
        Ok(())
    });
}

/// What is read of a text that comes in pieces.
fn read(pieces: &[&[u8]]) -> Result<Option<f64>, LineTooLong> {
    let mut seconds = RequestSeconds::default();
    for piece in pieces {
        seconds.push(piece)?;
    }
    Ok(seconds.total())
}
