//! What is over, what belongs to a start or an end, and what is only noise.

use super::{super::*, SERVER, codes, gunicorn, record, traceback};
use crate::model::{Code, Severity};
use rstest::rstest;

#[test]
fn a_rollouts_signals_are_no_crash() {
    let rollout = gunicorn(0, "info", "Handling signal: term")
        + &gunicorn(1, "error", "Worker (pid:7) was sent SIGTERM!")
        + &gunicorn(2, "info", "Shutting down: Master");
    assert_eq!(codes(Component::Api, &rollout), []);
    let killed = gunicorn(0, "info", "Booting worker with pid: 7")
        + &gunicorn(1, "error", "Worker (pid:7) was sent SIGTERM!");
    assert_eq!(codes(Component::Api, &killed), [Code::GunicornWorkerKilled]);
}

#[test]
fn a_failed_attempt_that_was_repeated_well_is_healthy() {
    let failed = format!(
        "Operations to perform:\nRunning migrations:\n  Applying features.0007_x...{}",
        traceback(
            "psycopg2.errors.LockNotAvailable",
            "canceling statement due to lock timeout",
            "OperationalError"
        )
    );
    assert_eq!(codes(Component::Migrations, &failed), [Code::MigrationLockTimeout]);
    let again = "Operations to perform:\nRunning migrations:\n  Applying features.0007_x... OK\n";
    assert_eq!(codes(Component::Migrations, &(failed.clone() + again)), []);
    assert_eq!(
        codes(Component::Migrations, &(failed.clone() + again + &failed)),
        [Code::MigrationLockTimeout]
    );
}

#[test]
fn one_failed_request_amid_good_ones_is_no_diagnosis() {
    let access =
        "10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] \"GET /api/v1/flags/ HTTP/1.1\" 200 5 \"-\" \"curl\"\n";
    let failed = record(1, "error", "django.request", "Internal Server Error: /api/v1/flags/")
        + &traceback(
            "psycopg2.OperationalError",
            "server closed the connection unexpectedly",
            "OperationalError",
        );
    assert_eq!(codes(Component::Api, &(access.repeat(3) + &failed + &access.repeat(3))), []);
    assert_eq!(codes(Component::Api, &(access.repeat(3) + &failed)), [Code::DatabaseConnectionLost]);
    assert_eq!(
        codes(Component::Api, &(access.repeat(3) + &failed.repeat(2) + access)),
        [Code::DatabaseConnectionLost]
    );
}

#[test]
fn unhealthy_threads_at_shutdown_are_normal() {
    let warning =
        |seconds| record(seconds, "warning", "task_processor.threads", "2 unhealthy threads detected");
    let shutdown = gunicorn(0, "info", "Handling signal: term") + &warning(1);
    assert_eq!(codes(Component::TaskProcessor, &shutdown), []);
    let slow_batch: String = (0..5).map(warning).collect();
    assert_eq!(codes(Component::TaskProcessor, &slow_batch), []);
    let stuck: String = (0..60).map(warning).collect();
    assert_eq!(codes(Component::TaskProcessor, &stuck), [Code::TaskQueueStalled]);
    assert_eq!(
        codes(Component::TaskProcessor, &(stuck.clone() + &gunicorn(61, "info", "Handling signal: term"))),
        [Code::TaskQueueStalled]
    );
    assert_eq!(
        codes(Component::TaskProcessor, &(stuck + &gunicorn(300, "info", "Handling signal: term"))),
        []
    );
}

#[test]
fn migrations_pending_for_the_time_of_an_upgrade_is_normal() {
    let check =
        |seconds| record(seconds, "error", "health-check", "unavailable: There are migrations to apply");
    assert_eq!(codes(Component::Api, &(check(0) + &check(10))), [Code::MigrationsPending]);
    assert_eq!(
        codes(Component::Api, &(check(0) + &check(10) + &gunicorn(80, "info", "Handling signal: term"))),
        []
    );
}

#[test]
fn healthy_noise_is_healthy() {
    let log = "System check identified some issues:\n\nWARNINGS:\n?: (axes.W006) AXES_LOCKOUT_PARAMETERS does not contain 'ip_address'.\n"
        .to_owned()
        + &record(1, "warning", "django.request", "Not Found: /favicon.ico")
        + &record(1, "warning", "django.request", "Unauthorized: /api/v1/organisations/")
        + &record(2, "error", "webhooks.webhooks", "Webhook call failed: HTTPConnectionPool(host='hooks', port=80): Connection refused")
        + &record(3, "warning", "opentelemetry.exporter", "Transient error StatusCode.UNAVAILABLE encountered while exporting traces to localhost:4317, retrying in 1s.")
        + &record(4, "info", "task_processor.threads", "0 unhealthy threads detected")
        + &record(5, "error", "django.request", "Internal Server Error: /api/v1/x/")
        + "Traceback (most recent call last):\n  File \"/x/django/core/handlers/exception.py\", line 1, in inner\nKeyError: 'x'\n\n";
    assert_eq!(codes(Component::Api, &log), []);
}

/// What ended a container with SIGKILL: at work, in the middle of a migration, after it was told to stop, and another
/// service.
#[rstest]
#[case::at_work(Component::Api, "Booting worker with pid: 7", "api-1", &[Code::ContainerOutOfMemory])]
#[case::told_to_stop(Component::Api, "Handling signal: term", "api-1", &[])]
#[case::another(Component::Api, "Booting worker with pid: 7", "postgres-1", &[])]
#[case::migration(Component::Migrations, "  Applying users.0041_x...", "api-1", &[Code::MigrationOutOfMemory])]
#[case::migrated(Component::Migrations, "  Applying users.0041_x... OK", "api-1", &[])]
fn a_killed_container_is_read_by_its_life(
    #[case] component: Component,
    #[case] before: &str,
    #[case] service: &str,
    #[case] expected: &[Code],
) {
    let log = format!(
        "api-1  | {}api-1  | {before}\n{service} exited with code 137\n",
        gunicorn(0, "info", "Listening at: http://0.0.0.0:8000 (1)")
    );
    let log = if component == Component::Migrations {
        format!("api-1  | Operations to perform:\napi-1  | {before}\n{service} exited with code 137\n")
    } else {
        log
    };
    assert_eq!(codes(component, &log), expected);
}

/// The error of one request, and the one that ends Node.js.
#[rstest]
#[case::request("GET / 200 1 ms - 5", &[])]
#[case::end("Node.js v22.11.0", &[Code::CrashLooping])]
#[case::cut("", &[Code::CrashLooping])]
fn an_error_ends_the_frontend_only_at_its_end(#[case] after: &str, #[case] expected: &[Code]) {
    let log =
        format!("Error: Cannot find module './x'\n    at Module._load (node:internal:1:2)\n\n{after}\n");
    assert_eq!(codes(Component::Frontend, &log), expected);
}

/// The question for the next tasks is cancelled each time, once, and long ago.
#[rstest]
#[case::each_time(8, 1, &[Code::TaskQueueStalled])]
#[case::once(1, 1, &[])]
#[case::long_ago(8, 300, &[])]
fn a_queue_that_cannot_be_read_is_stalled(#[case] count: u32, #[case] after: u32, #[case] expected: &[Code]) {
    let cancelled = |second| {
        let message = "Error handling tasks from database 'default': django.db.utils.OperationalError('storniere Anfrage')";
        record(second, "error", "task_processor.threads", message)
            + &traceback("psycopg2.errors.QueryCanceled", "storniere Anfrage", "OperationalError")
    };
    let log: String = (0..count).map(cancelled).collect();
    let log = log + &gunicorn(count + after, "info", "Handling signal: term");
    assert_eq!(codes(Component::TaskProcessor, &log), expected);
}

/// A restart of the database that requests met: while it lasts, and long after.
#[rstest]
#[case::lasts(1, Severity::Critical)]
#[case::is_over(120, Severity::Warning)]
fn an_outage_that_is_over_is_a_warning(#[case] after: u32, #[case] expected: Severity) {
    let starting = format!("{SERVER}FATAL:  the database system is starting up");
    let failed = |second| {
        record(second, "error", "django.request", "Internal Server Error: /api/v1/flags/")
            + &traceback("psycopg2.OperationalError", &starting, "OperationalError").replacen(
                "  File \"/x/django/db",
                "  File \"/x/django/core/handlers/base.py\", line 1, in f\n  File \"/x/django/db",
                1,
            )
    };
    let well =
        "10.0.0.1 - - [22/Nov/2026:16:00:09 +0000] \"GET /api/v1/flags/ HTTP/1.1\" 200 5 \"-\" \"-\" - -\n";
    let log = failed(1)
        + &failed(2)
        + &failed(3)
        + well
        + well
        + &gunicorn(3 + after, "info", "Handling signal: term");
    let found = read_one(Component::Api, log.as_bytes()).unwrap();
    assert_eq!(found[0].code, Code::DatabaseStarting);
    assert_eq!(found[0].severity, expected, "{}", found[0].message);
}

/// Gunicorn tries a port again; what it said meanwhile is over once it listens.
#[rstest]
#[case::then_it_listens("Listening at: http://0.0.0.0:8000 (1)", &[])]
#[case::never("Can't connect to ('0.0.0.0', 8000)", &[Code::CrashLooping])]
fn a_port_that_became_free_is_no_trouble(#[case] after: &str, #[case] expected: &[Code]) {
    let log = gunicorn(0, "error", "Connection in use: ('0.0.0.0', 8000)") + &gunicorn(1, "error", after);
    assert_eq!(codes(Component::Api, &log), expected);
}

const STARTED: &str = "2026-11-22T16:00:09.000000Z [info     ] Listening at: http://0.0.0.0:8000 (1) [gunicorn.error] positional_args=()\n";
const THREAD: &str =
    "  File \"/usr/lib/python3.11/threading.py\", line 1038, in _bootstrap_inner\n    self.run()\n";

/// The end of a traceback: followed by the process's life, or the last that there is.
#[rstest]
#[case(STARTED, &[])]
#[case("{\"message\": \"Handling signal: term\", \"levelname\": \"INFO\", \"logger_name\": \"gunicorn.error\", \"pid\": 1}\n", &[])]
#[case("", &[Code::CrashLooping])]
fn the_end_of_a_traceback_is_a_crash_only_at_the_end(#[case] after: &str, #[case] expected: &[Code]) {
    let log = format!("    g()\nRuntimeError: no\n{after}");
    let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
    let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
    assert_eq!(codes, expected);
}

/// What ends a thread does not end the process.
#[rstest]
#[case(THREAD, &[])]
#[case("", &[Code::CrashLooping])]
fn an_unknown_error_in_a_thread_is_no_crash(#[case] frame: &str, #[case] expected: &[Code]) {
    let log = format!(
        "{STARTED}Traceback (most recent call last):\n{frame}  File \"/app/x.py\", line 1, in f\n    g()\nRuntimeError: no\n"
    );
    let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
    let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
    assert_eq!(codes, expected);
}
