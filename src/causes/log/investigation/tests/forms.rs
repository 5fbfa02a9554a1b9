//! Logs in other forms than a container prints them.

use super::{super::*, SERVER, codes, record};
use crate::model::Code;
use rstest::rstest;

#[test]
fn gunicorns_own_format_is_read() {
    let log = "[2023-11-28 06:07:21 +0000] [1] [INFO] Using worker: sync\n\
               [2023-11-28 06:08:21 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:9)\n\
               [2023-11-28 06:08:22 +0000] [1] [WARNING] Worker with pid 9 was terminated due to signal 9\n";
    assert_eq!(codes(Component::Api, log), [Code::GunicornWorkerTimeout]);
}

/// As `aws logs filter-log-events` and `gcloud logging read --format json` print it.
#[test]
fn json_over_several_lines_is_read() {
    let log = "[\n  {\n    \"insertId\": \"1\",\n    \"resource\": {\n      \"type\": \"k8s_container\"\n    },\n    \"textPayload\": \"psycopg2.errors.UndefinedTable: relation \\\"users_ffadminuser\\\" does not exist\"\n  }\n]\n";
    assert_eq!(codes(Component::Api, log), [Code::MigrationsPending]);
}

/// The same log from its newest line and from its oldest: what it ended with is the same.
#[rstest]
#[case::overcome(&["info", "Successfully connected to the database."], &[])]
#[case::not_overcome(&["error", "Failed to connect to DB within 5 seconds."], &[Code::DatabaseUnreachable])]
fn newest_first_is_turned_round(#[case] end: &[&str], #[case] expected: &[Code]) {
    let mut lines: Vec<String> = (0..6)
        .map(|second| {
            let error = format!("Error was: OperationalError: {SERVER}Connection refused");
            record(second, "warning", "common.core.management.commands.waitfordb", &error)
        })
        .collect();
    lines.push(record(6, end[0], "common.core.management.commands.waitfordb", end[1]));
    assert_eq!(codes(Component::Api, &lines.concat()), expected);
    lines.reverse();
    assert_eq!(codes(Component::Api, &lines.concat()), expected);
}

/// Rows of an export in CSV.
#[test]
fn csv_is_read() {
    let row = "\"2026-11-22T16:00:00Z\",\"node3\",\"psycopg2.errors.UndefinedTable: relation \"\"users_ffadminuser\"\" does not exist\"\n";
    let found = read_one(Component::Api, row.as_bytes()).unwrap();
    assert_eq!(found[0].code, Code::MigrationsPending);
    assert!(found[0].message.contains("relation \"users_ffadminuser\""), "{}", found[0].message);
}

/// What developers are told of an exception is no end of a process.
#[rstest]
#[case("debug", &[])]
#[case("error", &[])]
fn a_record_that_is_a_traceback_ends_nothing(#[case] level: &str, #[case] expected: &[Code]) {
    let log = format!(
        "2026-11-22T16:00:00.000000Z [{level:9}] Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: no [x.y] positional_args=()\n"
    );
    assert_eq!(codes(Component::Api, &log), expected);
}
