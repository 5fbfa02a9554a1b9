//! Properties of the whole way from bytes to codes.

use super::tests::{SERVER, codes, gunicorn, record, traceback, waiting};
use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;

fn sample() -> impl Strategy<Value = (Component, String)> {
    let failure = |class: &str, message: String, wrapper: &str| traceback(class, &message, wrapper);
    prop::sample::select(vec![
        (
            Component::Migrations,
            waiting(0, "FATAL:  password authentication failed for user \"u\"")
                + "CommandError: Failed to connect to DB within 5 seconds.\n",
        ),
        (
            Component::Migrations,
            format!(
                "  Applying a.0001_x...{}",
                failure(
                    "psycopg2.errors.LockNotAvailable",
                    "canceling statement due to lock timeout".to_owned(),
                    "OperationalError"
                )
            ),
        ),
        (
            Component::Api,
            failure("psycopg2.OperationalError", format!("{SERVER}Connection refused"), "OperationalError"),
        ),
        (
            Component::Api,
            gunicorn(1, "critical", "WORKER TIMEOUT (pid:7)")
                + &gunicorn(2, "error", "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?"),
        ),
        (Component::TaskProcessor, String::new()),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_read_to_the_end(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        for component in [Component::Api, Component::Migrations, Component::TaskProcessor, Component::Frontend] {
            prop_assert!(read_one(component, bytes.as_slice()).is_ok());
        }
    }

    #[test]
    fn words_of_interest_in_any_order_are_read_to_the_end(
        words in prop::collection::vec(prop::sample::select(vec![
            "Traceback (most recent call last):\n", "  File \"x.py\"\n", "Error", ": ", "(pid:", "\n", "\"", "é", "{\"message\": \"", "Applying ", "...", " OK",
            "psycopg2.OperationalError: ", "[error    ] ", "WORKER TIMEOUT (pid:", "99999999999", "permission denied for ", "No task registered with identifier", "\u{0}",
            "Failed to execute task '", "', with id ", "Invalid HTTP_HOST header: '", "class uri ", "connection to server at \"", "\", port ", "2026-11-22T15:40:56.9Z ", "positional_args=()",
        ]), 0..60),
    ) {
        let log = words.concat();
        for component in [Component::Api, Component::Migrations, Component::TaskProcessor] {
            prop_assert!(read_one(component, log.as_bytes()).is_ok());
        }
    }

    #[test]
    fn healthy_lines_in_between_change_nothing((component, log) in sample(), position in 0_usize..40, kind in 0_usize..4) {
        let noise = [
            "10.0.0.7 - - [22/Nov/2026:15:40:56 +0000] \"GET /health/liveness/ HTTP/1.1\" 200 5 \"-\" \"kube-probe\"\n",
            "{\"timestamp\": \"2026-11-22T16:00:01.0Z\", \"message\": \"Prometheus metrics server started on port 9100\", \"levelname\": \"INFO\", \"logger_name\": \"common.gunicorn\", \"pid\": 3}\n",
            "{\"timestamp\": \"2026-11-22T16:00:01.0Z\", \"message\": \"2 unhealthy threads detected\", \"levelname\": \"WARNING\", \"logger_name\": \"task_processor.threads\", \"pid\": 3}\n",
            "2026-11-22T16:00:01.000000Z [warning  ] Not Found: /error.php [django.request] status_code=404\n",
        ];
        let mut lines: Vec<String> = log.lines().map(|line| format!("{line}\n")).collect();
        let position = position.min(lines.len());
        // Between the lines of one message nothing can come: it is written at once.
        if lines.get(position).is_some_and(|line| line.starts_with(" [")) {
            return Ok(());
        }
        lines.insert(position, noise[kind].to_owned());
        prop_assert_eq!(codes(component, &lines.concat()), codes(component, &log));
    }

    /// Whoever can send a request chooses a path, and Django repeats it decoded at WARNING.
    #[test]
    fn what_a_client_writes_is_no_evidence(
        (component, log) in sample(),
        path in prop_oneof![
            "[ -~]{0,80}",
            prop::sample::select(vec![
                "Attempt to run tasks in a non-task-processor environment",
                "is not supported as an entrypoint. Please use",
                "x: 34 Killed ",
                "Connection in use: ('0.0.0.0', 8000)",
                "psycopg2.OperationalError: connection to server at \"x\", port 1 failed: FATAL:  sorry, too many clients already",
                "Invalid HTTP_HOST header: 'curl evil'. You may need to add 'curl evil' to ALLOWED_HOSTS.",
                "No task registered with identifier x. Ensure your task is decorated",
                "WORKER TIMEOUT (pid:7)",
                "Read-only file system: '/tmp/prometheus/x.db'",
                "OOMKilled",
                "Attempt to run tasks in a non-task-processor environment [task_processor.threads] a=b",
                "x [error    ] psycopg2.OperationalError: FATAL:  sorry, too many clients already [x] y=1",
            ]).prop_map(str::to_owned),
        ],
        form in 0_usize..3,
    ) {
        let said = format!("Not Found: /api/v1/error/{path}");
        let forged = match form {
            0 => format!("2026-11-22T16:00:01.000000Z [warning  ] {said} [django.request] status_code=404\n"),
            1 => format!(
                "{}\n",
                serde_json::json!({ "timestamp": "2026-11-22T16:00:01.0Z", "message": said, "levelname": "WARNING", "logger_name": "django.request", "pid": 3 })
            ),
            _ => record(0, "warning", "django.request", &said),
        };
        // At the beginning, so that the log ends as before.
        let with = format!("{forged}{forged}{forged}{log}");
        let without = log;
        prop_assert_eq!(codes(component, &with), codes(component, &without));
    }

    #[test]
    fn every_way_to_deliver_the_bytes_gives_the_same(
        (component, log) in sample(),
        capacity in 1_usize..64,
        requests in (0_usize..5, 0_usize..5),
    ) {
        let request = "10.0.0.1 - - [28/Nov/2026:09:00:00 +0000] \"GET /api/v1/flags/ HTTP/1.1\" 200 5 \"-\" \"x\" - -\n";
        let log = [&request.repeat(requests.0), log.as_str(), &request.repeat(requests.1)].concat();
        let whole = read_one(component, log.as_bytes()).unwrap();
        let pieces = read_one(component, io::BufReader::with_capacity(capacity, log.as_bytes())).unwrap();
        prop_assert_eq!(whole, pieces);
    }
}

#[test]
fn memory_is_bounded_by_design() {
    // A million different troubles, sources and tasks: every collection has its limit.
    let mut investigation = Investigation::new(Component::Api);
    let mut log = String::new();
    for number in 0..2_000 {
        let _ = writeln!(
            log,
            "pod-{number}  | psycopg2.OperationalError: connection to server at \"db{number}\", port 5432 failed: Connection refused\npod-{number} | "
        );
        log.push_str(&record(
            0,
            "error",
            "task_processor.processor",
            &format!("Failed to execute task 't{number}', with id {number}. Exception: x"),
        ));
        log.push_str(&record(
            0,
            "error",
            "django.security.DisallowedHost",
            &format!("Invalid HTTP_HOST header: 'h{number}'. You may need to add 'h' to ALLOWED_HOSTS."),
        ));
        log.push_str(&gunicorn(0, "critical", &format!("WORKER TIMEOUT (pid:{number})")));
    }
    investigation.read("", log.as_bytes()).unwrap();
    assert!(investigation.groupers.len() <= SOURCES);
    assert!(investigation.case.occurrences.len() <= 128);
    assert!(!investigation.conclude().is_empty());
}
