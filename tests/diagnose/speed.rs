//! How fast logs are read: bytes per second of processor time, for logs without findings, real ones and the worst. And
//! for how long the operator's thread has no turn meanwhile.

use std::fmt::Write as _;
use std::time::Duration;

use flagsmith_operator::causes::{Investigation, diagnose_pod_log};
use flagsmith_operator::model::Component;
use flagsmith_operator::runtime::executor::on_one_thread;
use futures::future::join_all;
use rustix::time::{ClockId, clock_gettime};

use super::{forms::FORMS, log};

/// Bytes of an input.
const SIZE: usize = 16 * 1024 * 1024;
/// The longest log that the operator reads of a container.
const OF_A_POD: usize = 4 * 1024 * 1024;
/// Logs of pods that it diagnoses at once.
const AT_ONCE: usize = 8;
/// How often it has other work meanwhile.
const TICK: Duration = Duration::from_millis(1);
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

/// Lines of nothing but one text, so long that a log of [`SIZE`] has the longest that are kept whole, 64 KiB. In a log an
/// eighth as long they are an eighth as long: what is not linear in the length of a line is slower with the longer ones.
fn of_nothing_but(start: &str, text: &str, size: usize) -> Vec<u8> {
    let length = size / (SIZE / (64 * 1024)) - 1;
    let line = format!("{start}{}", text.repeat((length - start.len()) / text.len()));
    repeated(size, |_| line.clone())
}

const ERROR: &str = "2026-11-28T03:00:00.000000Z [error    ] ";

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
    ("worst: lines of \" [\"", |size| of_nothing_but(ERROR, " [", size)),
    ("worst: lines of \" [a]\"", |size| of_nothing_but(ERROR, " [a]", size)),
    ("worst: lines of \"{\"", |size| of_nothing_but("{\"error", "{", size)),
    ("worst: lines of \"\\\"\"", |size| of_nothing_but("{\"error", "\"", size)),
    ("worst: lines of \"\\\\\"", |size| of_nothing_but("{\"error\":\"", "\\", size)),
    ("worst: lines of \": \"", |size| of_nothing_but("error", ": ", size)),
    ("worst: lines of \": /\"", |size| of_nothing_but("error", ": /", size)),
    ("worst: lines of digits", |size| of_nothing_but("error ", "7", size)),
    ("worst: lines of terminal codes", |size| of_nothing_but("error ", "\u{1b}[31m", size)),
    ("worst: lines of deep JSON", |size| of_nothing_but("", "{\"error\":", size)),
    ("worst: lines of what begins a name", |size| {
        of_nothing_but("psycopg2.OperationalError: ", "role „", size)
    }),
    ("worst: lines of words of rules", |size| {
        of_nothing_but("psycopg2.OperationalError: ", "Killed user ", size)
    }),
    ("a form: Grafana, compact", |size| formed(size, "Grafana, compact")),
    ("a form: Elasticsearch, pretty", |size| formed(size, "Elasticsearch, pretty")),
    ("a form: in a box", |size| formed(size, "in a box")),
    ("a form: newest first", |size| formed(size, "newest first")),
    ("a form: UTF-16 LE", |size| formed(size, "UTF-16 LE")),
];

fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
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

/// The longest processor time for which a thread as the operator's has no turn while it has these logs diagnosed.
fn longest_stretch(logs: Vec<Vec<u8>>) -> Duration {
    on_one_thread().unwrap().block_on(async {
        let diagnosed = logs.into_iter().map(|log| {
            tokio::task::spawn_blocking(move || diagnose_pod_log(Component::Api, None, "pod/api", &log).len())
        });
        let diagnosed = join_all(diagnosed.collect::<Vec<_>>());
        tokio::pin!(diagnosed);
        let (mut longest, mut last) = (Duration::ZERO, busy());
        loop {
            let is_over = tokio::select! {
                _ = &mut diagnosed => true,
                () = tokio::time::sleep(TICK) => false,
            };
            let now = busy();
            longest = longest.max(now.saturating_sub(std::mem::replace(&mut last, now)));
            if is_over {
                return longest;
            }
        }
    })
}

#[test]
#[ignore = "a measurement of a release build; `make bench-logs`"]
fn how_fast_logs_are_read() {
    println!("MB/s, and MB/s of a log an eighth as long");
    // SPEED_OF: only the inputs whose names contain it, to profile one.
    let only = std::env::var("SPEED_OF").unwrap_or_default();
    let mut slowest = (f64::MAX, Vec::new());
    for (name, make) in INPUTS.iter().filter(|(name, _)| name.contains(&only)) {
        let reached = speed(&make(SIZE));
        println!("{reached:5.0} {:5.0}  {name}", speed(&make(SIZE / 8)));
        if reached < slowest.0 {
            slowest = (reached, make(OF_A_POD));
        }
    }
    let (reached, log) = slowest;
    println!(
        "longest stretch of the operator's thread while {AT_ONCE} of the slowest are diagnosed, {:.0} ms each on threads of \
         their own: {:.1} ms",
        f64::from(u32::try_from(log.len()).unwrap()) / 1e3 / reached,
        longest_stretch(vec![log; AT_ONCE]).as_secs_f64() * 1e3,
    );
}
