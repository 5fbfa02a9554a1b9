//! Look-alikes, both sides.

use super::*;
use crate::diagnose::{Code, Severity};
use rstest::rstest;

pub fn codes(component: Component, log: &str) -> Vec<Code> {
    let diagnoses = read_one(component, log.as_bytes()).unwrap();
    diagnoses.into_iter().map(|diagnosis| diagnosis.code).collect()
}

/// A record of Flagsmith's format, `seconds` after a fixed moment.
pub fn record(seconds: u32, level: &str, logger: &str, message: &str) -> String {
    format!(
        "2026-11-22T16:{:02}:{:02}.000000Z [{level:9}] {message} [{logger}] positional_args=()\n",
        seconds / 60,
        seconds % 60
    )
}

pub fn gunicorn(seconds: u32, level: &str, message: &str) -> String {
    record(seconds, level, "gunicorn.error", message)
}

pub fn waiting(seconds: u32, error: &str) -> String {
    let at = format!(
        "2026-11-22T16:{:02}:{:02}.000000Z [warning  ]",
        seconds / 60,
        seconds % 60
    );
    format!(
        "{at} Error was: OperationalError: connection to server at \"db\", port 5432 failed: {error}\n [common.core.management.commands.waitfordb] positional_args=()\n"
    )
}

pub fn traceback(class: &str, message: &str, wrapper: &str) -> String {
    format!(
        "Traceback (most recent call last):\n  File \"/x/django/db/backends/utils.py\", line 103, in _execute\n    return self.cursor.execute(sql)\n{class}: {message}\n\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/x/y.py\", line 1, in f\ndjango.db.utils.{wrapper}: {message}\n\n"
    )
}

pub const SERVER: &str = "connection to server at \"db\", port 5432 failed: ";

#[rstest]
#[case::same_pid("WORKER TIMEOUT (pid:7)", "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", 1, &[Code::GunicornWorkerTimeout])]
#[case::other_pid("WORKER TIMEOUT (pid:7)", "Worker (pid:8) was sent SIGKILL! Perhaps out of memory?", 1, &[Code::GunicornWorkerTimeout, Code::GunicornWorkerOutOfMemory])]
#[case::long_after("WORKER TIMEOUT (pid:7)", "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", 600, &[Code::GunicornWorkerTimeout, Code::GunicornWorkerOutOfMemory])]
#[case::no_timeout("Booting worker with pid: 7", "Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", 1, &[Code::GunicornWorkerOutOfMemory])]
#[case::old_wording("WORKER TIMEOUT (pid:7)", "Worker with pid 7 was terminated due to signal 9", 1, &[Code::GunicornWorkerTimeout])]
#[case::old_wording_memory("Booting worker with pid: 7", "Worker with pid 7 was terminated due to signal 9", 1, &[Code::GunicornWorkerOutOfMemory])]
fn timeout_kill_is_not_memory(
    #[case] first: &str,
    #[case] second: &str,
    #[case] after: u32,
    #[case] expected: &[Code],
) {
    let log = gunicorn(0, "info", "Using worker: sync")
        + &gunicorn(10, "critical", first)
        + &gunicorn(10 + after, "error", second);
    assert_eq!(codes(Component::Api, &log), expected);
}

#[test]
fn gunicorns_own_format_is_read() {
    let log = "[2023-11-28 06:07:21 +0000] [1] [INFO] Using worker: sync\n\
               [2023-11-28 06:08:21 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:9)\n\
               [2023-11-28 06:08:22 +0000] [1] [WARNING] Worker with pid 9 was terminated due to signal 9\n";
    assert_eq!(codes(Component::Api, log), [Code::GunicornWorkerTimeout]);
}

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
fn race_is_told_from_conflict_by_what_the_run_did_before() {
    let exists = |applied: &str| {
        format!(
            "Operations to perform:\n  Apply all migrations: x\nRunning migrations:\n{applied}  Applying features.0007_x...{}",
            traceback(
                "psycopg2.errors.DuplicateTable",
                "relation \"features_x\" already exists",
                "ProgrammingError"
            )
        )
    };
    // It began with nothing and found something all the same: two readings, and the log does not separate them.
    let log = exists("  Applying contenttypes.0001_initial... OK\n");
    let found = read_one(Component::Migrations, log.as_bytes()).unwrap();
    assert_eq!(found[0].code, Code::MigrationSchemaConflict);
    assert!(found[0].message.contains("does not separate"), "{found:#?}");
    assert_eq!(
        codes(Component::Migrations, &exists("")),
        [Code::MigrationSchemaConflict]
    );
    // Another process of the same log applied it: whoever it was, nothing is broken.
    let other = "[pod/a/migrate] Operations to perform:\n[pod/a/migrate]   Applying features.0007_x... OK\n";
    let log = format!(
        "[pod/b/migrate] {}",
        exists("").replace('\n', "\n[pod/b/migrate] ")
    );
    assert_eq!(
        codes(Component::Migrations, &(other.to_owned() + &log)),
        [Code::MigrationConcurrent]
    );
}

#[test]
fn separate_task_processor_database_is_recognised_by_the_second_run() {
    let failure = traceback(
        "psycopg2.errors.UndefinedColumn",
        "column users_ffadminuser.organisation_id does not exist",
        "ProgrammingError",
    );
    let second = format!(
        "Operations to perform:\nRunning migrations:\n  No migrations to apply.\nOperations to perform:\nRunning migrations:\n  Applying contenttypes.0001_initial... OK\n  Applying users.0010_x...{failure}"
    );
    assert_eq!(
        codes(Component::Migrations, &second),
        [Code::TaskProcessorDatabaseMismatch]
    );
    let first = format!("Operations to perform:\nRunning migrations:\n  Applying users.0010_x...{failure}");
    assert_eq!(
        codes(Component::Migrations, &first),
        [Code::MigrationSchemaConflict]
    );
}

#[test]
fn track_request_proves_nothing() {
    let run = |function: &str| {
        record(
            0,
            "info",
            "task_processor.decorators",
            &format!("Running function {function} in unmanaged thread."),
        )
    };
    assert_eq!(codes(Component::Api, &run("track_request").repeat(50)), []);
    assert_eq!(
        codes(Component::Api, &(run("track_request") + &run("create_audit_log"))),
        [Code::TaskRunMethodUnset]
    );
}

#[rstest]
#[case("FATAL:  the database system is starting up", Code::DatabaseStarting)]
#[case("Connection refused", Code::DatabaseUnreachable)]
#[case("FATAL:  sorry, too many clients already", Code::DatabaseConnectionsExhausted)]
#[case(
    "FATAL:  no more connections allowed (max_client_conn)",
    Code::DatabaseConnectionsExhausted
)]
fn waiting_that_failed_names_the_last_state(#[case] error: &str, #[case] expected: Code) {
    let log = waiting(0, "Connection refused")
        + &waiting(1, error)
        + &record(
            5,
            "error",
            "waitfordb",
            "Failed to connect to DB within 5 seconds.",
        )
        + "CommandError: Failed to connect to DB within 5 seconds.\n";
    assert_eq!(codes(Component::Migrations, &log), [expected]);
    // The same wait with a good end is a healthy start.
    let well = waiting(0, "Connection refused")
        + &waiting(1, error)
        + "Operations to perform:\nRunning migrations:\n  No migrations to apply.\n";
    assert_eq!(codes(Component::Migrations, &well), []);
    let well = waiting(0, error) + &gunicorn(9, "info", "Listening at: http://0.0.0.0:8000 (1)");
    assert_eq!(codes(Component::Api, &well), []);
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
    assert_eq!(
        codes(Component::Migrations, &failed),
        [Code::MigrationLockTimeout]
    );
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
    let failed = record(
        1,
        "error",
        "django.request",
        "Internal Server Error: /api/v1/flags/",
    ) + &traceback(
        "psycopg2.OperationalError",
        "server closed the connection unexpectedly",
        "OperationalError",
    );
    assert_eq!(
        codes(Component::Api, &(access.repeat(3) + &failed + &access.repeat(3))),
        []
    );
    assert_eq!(
        codes(Component::Api, &(access.repeat(3) + &failed)),
        [Code::DatabaseConnectionLost]
    );
    assert_eq!(
        codes(Component::Api, &(access.repeat(3) + &failed.repeat(2) + access)),
        [Code::DatabaseConnectionLost]
    );
}

#[test]
fn unhealthy_threads_at_shutdown_are_normal() {
    let warning = |seconds| {
        record(
            seconds,
            "warning",
            "task_processor.threads",
            "2 unhealthy threads detected",
        )
    };
    let shutdown = gunicorn(0, "info", "Handling signal: term") + &warning(1);
    assert_eq!(codes(Component::TaskProcessor, &shutdown), []);
    let slow_batch: String = (0..5).map(warning).collect();
    assert_eq!(codes(Component::TaskProcessor, &slow_batch), []);
    let stuck: String = (0..60).map(warning).collect();
    assert_eq!(codes(Component::TaskProcessor, &stuck), [Code::TaskQueueStalled]);
    assert_eq!(
        codes(
            Component::TaskProcessor,
            &(stuck.clone() + &gunicorn(61, "info", "Handling signal: term"))
        ),
        [Code::TaskQueueStalled]
    );
    assert_eq!(
        codes(
            Component::TaskProcessor,
            &(stuck + &gunicorn(300, "info", "Handling signal: term"))
        ),
        []
    );
}

#[test]
fn hosts_of_probes_and_scanners() {
    let refused = |host: &str| {
        record(
            0,
            "error",
            "django.security.DisallowedHost",
            &format!("Invalid HTTP_HOST header: '{host}'. You may need to add '{host}' to ALLOWED_HOSTS."),
        )
    };
    assert_eq!(
        codes(Component::Api, &refused("10.42.0.7:8000").repeat(2)),
        [Code::AllowedHostsRejected]
    );
    assert_eq!(
        codes(
            Component::Api,
            &(refused("203.0.113.9") + &refused("example.org") + &refused("www.example.org"))
        ),
        []
    );
}

#[test]
fn pooler_and_server_refuse_in_different_words() {
    let log = |error: &str| waiting(0, error) + "CommandError: Failed to connect to DB within 5 seconds.\n";
    let pooler = read_one(
        Component::Api,
        log("FATAL:  no more connections allowed (max_client_conn)").as_bytes(),
    )
    .unwrap();
    let server = read_one(
        Component::Api,
        log("FATAL:  sorry, too many clients already").as_bytes(),
    )
    .unwrap();
    assert!(pooler[0].message.contains("pooler") && !server[0].message.contains("pooler"));
}

#[test]
fn the_same_error_means_what_the_process_was_doing() {
    let missing = traceback(
        "psycopg2.errors.UndefinedTable",
        "relation \"users_ffadminuser\" does not exist",
        "ProgrammingError",
    );
    assert_eq!(codes(Component::Api, &missing), [Code::MigrationsPending]);
    assert_eq!(
        codes(Component::TaskProcessor, &missing),
        [Code::MigrationsPending]
    );
    assert_eq!(
        codes(Component::Migrations, &missing),
        [Code::MigrationSchemaConflict]
    );
}

#[test]
fn consequences_are_no_further_diagnoses() {
    let log = format!(
        "  Applying a.0001_x...{}{}CommandError: something\n",
        traceback(
            "psycopg2.errors.DiskFull",
            "could not extend file \"base/1/2\": No space left on device",
            "OperationalError"
        ),
        traceback(
            "psycopg2.errors.InFailedSqlTransaction",
            "current transaction is aborted, commands ignored until end of transaction block",
            "InternalError"
        )
    );
    assert_eq!(codes(Component::Migrations, &log), [Code::DatabaseDiskFull]);
}

#[test]
fn progress_that_comes_after_the_traceback_is_used() {
    // Container runtimes read stdout and stderr apart; the unfinished line comes when the process has ended.
    let log = format!(
        "Operations to perform:\nRunning migrations:\n  Applying a.0001_x... OK\n{}  Applying a.0002_y...\n",
        traceback(
            "psycopg2.errors.DeadlockDetected",
            "deadlock detected",
            "OperationalError"
        )
    );
    let diagnoses = read_one(Component::Migrations, log.as_bytes()).unwrap();
    assert!(
        diagnoses[0].message.contains("a.0002_y")
            && diagnoses[0]
                .message
                .contains("One migration was applied before it: a.0001_x"),
        "{}",
        diagnoses[0].message
    );
}

#[test]
fn migrations_pending_for_the_time_of_an_upgrade_is_normal() {
    let check = |seconds| {
        record(
            seconds,
            "error",
            "health-check",
            "unavailable: There are migrations to apply",
        )
    };
    assert_eq!(
        codes(Component::Api, &(check(0) + &check(10))),
        [Code::MigrationsPending]
    );
    assert_eq!(
        codes(
            Component::Api,
            &(check(0) + &check(10) + &gunicorn(80, "info", "Handling signal: term"))
        ),
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

/// Caches, analytics and tracing speak of refused connections, time-outs and migrations in the words of PostgreSQL.
#[rstest]
#[case::redis(
    "django_redis.cache",
    "Exception ignored",
    "ConnectionRefusedError: [Errno 111] Connection refused\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/x/redis/connection.py\", line 1, in connect\nredis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused."
)]
#[case::redis_is_slow(
    "django_redis.cache",
    "Exception ignored",
    "redis.exceptions.TimeoutError: Timeout reading from socket"
)]
#[case::redis_is_full(
    "django_redis.cache",
    "Exception ignored",
    "redis.exceptions.ResponseError: OOM command not allowed when used memory > 'maxmemory'."
)]
#[case::redis_asks_for_a_password(
    "django_redis.cache",
    "Exception ignored",
    "redis.exceptions.AuthenticationError: invalid username-password pair or user is disabled."
)]
#[case::clickhouse(
    "app_analytics",
    "could not write usage",
    "clickhouse_connect.driver.exceptions.OperationalError: Error HTTPConnectionPool(host='clickhouse', port=8123): Max retries exceeded (Caused by NewConnectionError(': Failed to establish a new connection: [Errno 111] Connection refused')) executing HTTP request attempt 1"
)]
#[case::clickhouse_native(
    "app_analytics",
    "could not write usage",
    "clickhouse_driver.errors.NetworkError: Code: 210. Connection refused (clickhouse:9000)"
)]
#[case::clickhouse_lacks_a_table(
    "app_analytics",
    "could not write usage",
    "clickhouse_driver.errors.ServerException: Code: 60. DB::Exception: Table flagsmith.usage does not exist."
)]
#[case::tracing(
    "opentelemetry.sdk.trace.export",
    "Exception while exporting Span batch.",
    "requests.exceptions.ConnectionError: HTTPConnectionPool(host='otel', port=4318): Max retries exceeded with url: /v1/traces (Caused by NameResolutionError(\"Failed to resolve 'otel' ([Errno -2] Name or service not known)\"))"
)]
#[case::tracing_times_out(
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "Failed to export traces to otel:4317, error code: StatusCode.DEADLINE_EXCEEDED",
    "requests.exceptions.ReadTimeout: HTTPConnectionPool(host='otel', port=4318): Read timed out. (read timeout=10)"
)]
#[case::influx(
    "app_analytics.influxdb_wrapper",
    "API Usage tracking failed",
    "influxdb_client.rest.ApiException: (401)\nReason: Unauthorized\nHTTP response body: unauthorized access"
)]
fn other_services_are_not_the_database(#[case] logger: &str, #[case] message: &str, #[case] failure: &str) {
    let traceback =
        format!("Traceback (most recent call last):\n  File \"/x/y.py\", line 1, in call\n{failure}\n\n");
    for component in [Component::Api, Component::TaskProcessor] {
        let noise = record(1, "error", logger, message) + &traceback;
        assert_eq!(codes(component, &noise.repeat(3)), [], "{component:?}");
    }
}

#[test]
fn no_secret_reaches_a_diagnosis() {
    let log = "psycopg2.OperationalError: connection to server at \"db\", port 5432 failed: FATAL:  password authentication failed for user \"u\" (postgres://u:s3cr3tvalue@db/x)\n\
               CommandError: could not run with DATABASE_URL=postgres://u:s3cr3tvalue@db/x\n\
               ValueError: {'PASSWORD': 's3cr3tvalue'}\nflagsmith start: error: unrecognized arguments: --password=s3cr3tvalue\n";
    for component in [
        Component::Api,
        Component::Migrations,
        Component::TaskProcessor,
        Component::Frontend,
    ] {
        let diagnoses = read_one(component, log.as_bytes()).unwrap();
        assert!(!diagnoses.is_empty());
        assert!(!format!("{diagnoses:?}").contains("s3cr3tvalue"), "{diagnoses:?}");
    }
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

#[rstest]
#[case::full_disk("psycopg2.errors.DiskFull", "could not extend file \"base/1/2\": No space left on device", &[Code::DatabaseDiskFull])]
#[case::nothing_of_it("psycopg2.errors.OutOfMemory", "out of memory", &[Code::DatabaseStarting])]
fn a_recovery_after_a_full_disk_follows_from_it(
    #[case] class: &str,
    #[case] message: &str,
    #[case] expected: &[Code],
) {
    let failed = |seconds| {
        record(
            seconds,
            "error",
            "django.request",
            "Internal Server Error: /api/v1/flags/",
        )
    };
    let recovering = format!("{SERVER}FATAL:  the database system is in recovery mode");
    let log = failed(1)
        + &traceback(class, message, "OperationalError")
        + &failed(2)
        + &traceback("psycopg2.OperationalError", &recovering, "OperationalError")
        + &failed(3)
        + &traceback("psycopg2.OperationalError", &recovering, "OperationalError");
    assert_eq!(codes(Component::Api, &log), expected);
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
            record(
                second,
                "warning",
                "common.core.management.commands.waitfordb",
                &error,
            )
        })
        .collect();
    lines.push(record(
        6,
        end[0],
        "common.core.management.commands.waitfordb",
        end[1],
    ));
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
    assert!(
        found[0].message.contains("relation \"users_ffadminuser\""),
        "{}",
        found[0].message
    );
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

/// The question for the next tasks is cancelled each time, once, and long ago.
#[rstest]
#[case::each_time(8, 1, &[Code::TaskQueueStalled])]
#[case::once(1, 1, &[])]
#[case::long_ago(8, 300, &[])]
fn a_queue_that_cannot_be_read_is_stalled(#[case] count: u32, #[case] after: u32, #[case] expected: &[Code]) {
    let cancelled = |second| {
        let message = "Error handling tasks from database 'default': django.db.utils.OperationalError('storniere Anfrage')";
        record(second, "error", "task_processor.threads", message)
            + &traceback(
                "psycopg2.errors.QueryCanceled",
                "storniere Anfrage",
                "OperationalError",
            )
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
        record(
            second,
            "error",
            "django.request",
            "Internal Server Error: /api/v1/flags/",
        ) + &traceback("psycopg2.OperationalError", &starting, "OperationalError").replacen(
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

#[test]
fn a_failed_system_check_is_told_by_its_error() {
    let log = "SystemCheckError: System check identified some issues:\n\nERRORS:\n?: (caches.E001) You must define a 'default' cache in your CACHES setting.\n\nWARNINGS:\n?: (axes.W004) You have a deprecated setting\n\nSystem check identified 2 issues (0 silenced).\n";
    let found = read_one(Component::Migrations, log.as_bytes()).unwrap();
    assert_eq!(found[0].code, Code::MigrationFailed);
    assert!(
        found[0].message.contains("(caches.E001) You must define"),
        "{}",
        found[0].message
    );
}
