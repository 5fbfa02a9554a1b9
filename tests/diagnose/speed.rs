//! How fast logs are read: bytes per second of processor time, for logs without findings, real ones and the worst.

use std::fmt::Write as _;
use std::time::Duration;

use flagsmith_operator::causes::Investigation;
use flagsmith_operator::model::Component;

use super::{forms::FORMS, log};

/// Bytes of an input.
const SIZE: usize = 16 * 1024 * 1024;
/// Readings of an input, of which the fastest counts: other processes only make one slower.
const READINGS: u32 = 3;

/// A name, and a log of about so many bytes.
type Input = (&'static str, fn(usize) -> Vec<u8>);

fn repeated(size: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = String::with_capacity(size + 1024);
    for number in 0.. {
        if text.len() >= size {
            break;
        }
        let _ = writeln!(text, "{}", line(number));
    }
    text.into_bytes()
}

fn access(number: usize) -> String {
    format!(
        "10.42.3.{} - - [28/Nov/2026:09:{:02}:{:02} +0000] \"GET /api/v1/flags/?page={number} HTTP/1.1\" 200 5120 \"-\" \"python-requests/2.32\" - -",
        number % 250,
        number / 60 % 60,
        number % 60
    )
}

fn fixture(size: usize, name: &str) -> Vec<u8> {
    let sample = log(name);
    sample.repeat(size / sample.len() + 1)
}

fn traceback(number: usize) -> String {
    format!(
        "2026-11-28T03:00:00.000000Z [error    ] Internal Server Error: /x/{number} [django.request] status_code=500\n\
         Traceback (most recent call last):\n  File \"/app/x.py\", line {number}, in f\n    f()\n\
         psycopg2.errors.UndefinedTable: relation \"t{number}\" does not exist\nLINE 1: SELECT 1 FROM t{number}\n\n\
         The above exception was the direct cause of the following exception:\n\n\
         Traceback (most recent call last):\n  File \"/app/y.py\", line 2, in g\n    g()\n\
         django.db.utils.ProgrammingError: relation \"t{number}\" does not exist"
    )
}

fn formed(size: usize, form: &str) -> Vec<u8> {
    let text = String::from_utf8(repeated(size / 2, access)).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (_, make) = FORMS.iter().find(|(name, _)| *name == form).unwrap();
    make(&lines)
}

const INPUTS: &[Input] = &[
    ("nothing found: access log", |size| repeated(size, access)),
    ("nothing found: access log in JSON", |size| {
        repeated(size, |at| {
            format!(
                "{{\"timestamp\": \"2026-11-28T09:00:00.0Z\", \"levelname\": \"INFO\", \"logger_name\": \"gunicorn.access\", \"path\": \"/api/v1/flags/{at}\", \"status\": \"200\"}}"
            )
        })
    }),
    ("real: starts of the API in plain lines", |size| fixture(size, "api-ok-2.265.0.generic")),
    ("real: starts of the API in JSON", |size| fixture(size, "api-ok-2.265.0.json")),
    ("real: migrations", |size| fixture(size, "migrate-ok-2.265.0.generic")),
    ("worst: another failure each time", |size| repeated(size, traceback)),
    ("worst: a word of interest on every line", |size| repeated(size, |at| format!("error {at} at x: y"))),
    ("worst: lines that are nearly JSON", |size| {
        repeated(size, |at| format!("{{\"error\": \"{at}\", \"a\": [[[["))
    }),
    ("worst: one line", |size| b"error [x] ".repeat(size / 10)),
    ("worst: opening brackets", |size| vec![b'['; size]),
    ("a form: Grafana, compact", |size| formed(size, "Grafana, compact")),
    ("a form: Elasticsearch, pretty", |size| formed(size, "Elasticsearch, pretty")),
    ("a form: in a box", |size| formed(size, "in a box")),
    ("a form: newest first", |size| formed(size, "newest first")),
    ("a form: UTF-16 LE", |size| formed(size, "UTF-16 LE")),
];

fn busy() -> Duration {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(status.split_whitespace().next().unwrap().parse().unwrap())
}

/// Megabytes per second of processor time.
fn speed(bytes: &[u8]) -> f64 {
    let reading = |_| {
        let begun = busy();
        let mut investigation = Investigation::new(Component::Api);
        investigation.read("", std::io::BufReader::with_capacity(64 * 1024, bytes)).unwrap();
        drop(investigation.conclude());
        busy().saturating_sub(begun)
    };
    let took = (0..READINGS).map(reading).min().unwrap();
    f64::from(u32::try_from(bytes.len()).unwrap()) / 1e6 / took.as_secs_f64()
}

#[test]
#[ignore = "a measurement of a release build; `make bench-logs`"]
fn how_fast_logs_are_read() {
    println!("MB/s, and MB/s of a log an eighth as long");
    // SPEED_OF: only the inputs whose names contain it, to profile one.
    let only = std::env::var("SPEED_OF").unwrap_or_default();
    for (name, make) in INPUTS.iter().filter(|(name, _)| name.contains(&only)) {
        println!("{:5.0} {:5.0}  {name}", speed(&make(SIZE)), speed(&make(SIZE / 8)));
    }
}
