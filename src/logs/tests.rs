//! Lines that somebody else chose: each form costs time in proportion to its length, and no stack.

use std::{hint::black_box, time::Duration};

use rstest::rstest;
use rustix::time::{ClockId, clock_gettime};

use super::{
    clean::clean,
    form::Form,
    group::Grouper,
    peel::{Content, peel},
};

/// What the reader keeps of the longest line.
const LONGEST: usize = 64 * 1024;

/// How many times shorter the lines are that the longest is compared with.
const SHORTER: u32 = 8;

/// A line of `start` and as many whole `unit`s as a length has room for.
fn line(start: &[u8], unit: &[u8], length: usize) -> Vec<u8> {
    let units = length.saturating_sub(start.len()) / unit.len();
    [start, &unit.repeat(units)].concat()
}

/// Reads the line as the only one of its log; returns how many events it made.
fn read(line: &[u8]) -> usize {
    let mut events = 0;
    let mut sink = |_| events += 1;
    let form = Form::of(line);
    let mut grouper = Grouper::new(0);
    // An open record takes the line for a part of its message.
    for line in [&b"[warning  ] Error was: connection refused"[..], line, b"[warning  ] x [a.b]", line] {
        let text = clean(line);
        let peeled = peel(&text, None, &form.wrapping);
        match peeled.content {
            Content::Text(text) => grouper.line(1, &text, peeled.time, &mut sink),
            Content::Record(record) => grouper.json_record(1, *record, peeled.time, &mut sink),
        }
    }
    grouper.finish(&mut sink);
    events
}

/// How much of a processor this thread has used, whatever else the machine does.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The least work of several readings.
fn work(line: &[u8]) -> Duration {
    let once = |_| {
        let before = used();
        black_box(read(line));
        used().saturating_sub(before)
    };
    (0..5).map(once).min().unwrap_or_default()
}

#[rstest]
#[case::brackets("2026-11-22T15:40:56.9Z [error    ] x", " [")]
#[case::open_loggers("2026-11-22T15:40:56.9Z [error    ] x", " [x")]
#[case::loggers("[error    ] x", " [x] ")]
#[case::loggers_and_keys("[error    ] x", " [x] y")]
#[case::loggers_and_blanks("[error    ] x [x] [x] [x] [x] [x] [x] [x] [x] [x] [x] [x] [x]", " ")]
#[case::levels("[", "error ")]
#[case::gunicorn("[2023-11-28 06:07:21 +0000] [1] [INFO] ", "[1] ")]
#[case::named("a.b ERROR ", "A ")]
#[case::basic("ERROR:root:", "ERROR:")]
#[case::braces("", "{")]
#[case::objects("", "{}")]
#[case::nested_objects("", "{\"a\":")]
#[case::nested_wrappers("", "{\"log\":")]
#[case::nested_payloads("", "{\"jsonPayload\":")]
#[case::nested_lists("{\"message\":", "[")]
#[case::lists("{\"message\":[", "\"x\",")]
#[case::fields("{", "\"message\":1,")]
#[case::quotes("{", "\"")]
#[case::keys_without_values("{", "\"a\" ")]
#[case::colons("{", "\":")]
#[case::escapes("{\"log\":\"", "\\")]
#[case::escaped_quotes("{\"log\":\"{", "\\\"log\\\":")]
#[case::escaped_lines("{\"message\":\"", "\\n")]
#[case::tracebacks("{\"message\":\"x\",\"exc_info\":\"", "Traceback (most recent call last):\\nE: x\\n")]
#[case::exceptions("{\"message\":\"x\",\"exc_info\":\"", "a.Error: x\\n\\n")]
#[case::fields_of_a_message("{\"message\":\"x\",\"exc_info\":\"a.Error: x\\n", "DETAIL:  x\\n")]
#[case::frames(
    "{\"message\":\"x\",\"exc_info\":\"Traceback (most recent call last):\\n",
    "  File \\\"x\\\"\\n"
)]
#[case::csv_quotes("1,\"", "\"")]
#[case::csv_fields("1,\"", "\",\"")]
#[case::csv_plain("1", ",1")]
#[case::csv_doubled("\"a\",\"", "a\"\"")]
#[case::tabs("", "\t")]
#[case::blanks("x", " ")]
#[case::colours("", "\u{1b}[")]
#[case::titles("", "\u{1b}]")]
#[case::controls("", "\u{1}")]
#[case::letters("", "é")]
#[case::progress("", "Applying ...")]
#[case::progress_of_migrations("", "  Applying a.0001_x...")]
#[case::pods("[pod/", "a/")]
#[case::bars("a", "|")]
#[case::pod_names("a", "1-")]
#[case::syslog("<1>1 ", "a ")]
#[case::labels("2026-11-22T16:02:25Z {a=\"b\"", "} ")]
#[case::runtime_stamps("", "2026-11-22T16:02:25Z stderr F ")]
#[case::fractions("2026-11-22T16:02:25.", "0")]
#[case::access("1 ", "[22/Nov/2026:")]
#[case::dots("", "A.")]
#[case::exception_words("", "a.Error: ")]
#[case::traceback_words("", "Traceback (most recent call last):")]
#[case::digits("", "1")]
fn a_line_costs_in_proportion_to_its_length(#[case] start: &str, #[case] unit: &str) {
    let long = work(&line(start.as_bytes(), unit.as_bytes(), LONGEST));
    let short = work(&line(start.as_bytes(), unit.as_bytes(), LONGEST / SHORTER as usize));
    // Quadratic work would be 8 times as much for each byte; the constant is for what is too fast to be measured.
    let most = short * SHORTER * 3 + Duration::from_millis(5);
    assert!(long < most, "{long:?} where {short:?} are taken by an eighth");
}

#[test]
fn bytes_that_are_no_text_are_read_too() {
    assert_eq!(read(&line(b"", b"\xff", LONGEST)), 4);
}
