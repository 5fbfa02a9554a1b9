//! Which cause a run of lines has, beside its look-alikes.

use super::{super::*, SERVER, codes, gunicorn, record, traceback, waiting};
use crate::model::Code;
use rstest::rstest;

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
    assert_eq!(codes(Component::Migrations, &exists("")), [Code::MigrationSchemaConflict]);
    // Another process of the same log applied it: whoever it was, nothing is broken.
    let other = "[pod/a/migrate] Operations to perform:\n[pod/a/migrate]   Applying features.0007_x... OK\n";
    let log = format!("[pod/b/migrate] {}", exists("").replace('\n', "\n[pod/b/migrate] "));
    assert_eq!(codes(Component::Migrations, &(other.to_owned() + &log)), [Code::MigrationConcurrent]);
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
    assert_eq!(codes(Component::Migrations, &second), [Code::TaskProcessorDatabaseMismatch]);
    let first = format!("Operations to perform:\nRunning migrations:\n  Applying users.0010_x...{failure}");
    assert_eq!(codes(Component::Migrations, &first), [Code::MigrationSchemaConflict]);
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
#[case("FATAL:  no more connections allowed (max_client_conn)", Code::DatabaseConnectionsExhausted)]
fn waiting_that_failed_names_the_last_state(#[case] error: &str, #[case] expected: Code) {
    let log = waiting(0, "Connection refused")
        + &waiting(1, error)
        + &record(5, "error", "waitfordb", "Failed to connect to DB within 5 seconds.")
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
fn hosts_of_probes_and_scanners() {
    let refused = |host: &str| {
        record(
            0,
            "error",
            "django.security.DisallowedHost",
            &format!("Invalid HTTP_HOST header: '{host}'. You may need to add '{host}' to ALLOWED_HOSTS."),
        )
    };
    assert_eq!(codes(Component::Api, &refused("10.42.0.7:8000").repeat(2)), [Code::AllowedHostsRejected]);
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
    let pooler =
        read_one(Component::Api, log("FATAL:  no more connections allowed (max_client_conn)").as_bytes())
            .unwrap();
    let server = read_one(Component::Api, log("FATAL:  sorry, too many clients already").as_bytes()).unwrap();
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
    assert_eq!(codes(Component::TaskProcessor, &missing), [Code::MigrationsPending]);
    assert_eq!(codes(Component::Migrations, &missing), [Code::MigrationSchemaConflict]);
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
        traceback("psycopg2.errors.DeadlockDetected", "deadlock detected", "OperationalError")
    );
    let diagnoses = read_one(Component::Migrations, log.as_bytes()).unwrap();
    assert!(
        diagnoses[0].message.contains("a.0002_y")
            && diagnoses[0].message.contains("One migration was applied before it: a.0001_x"),
        "{}",
        diagnoses[0].message
    );
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
    for component in [Component::Api, Component::Migrations, Component::TaskProcessor, Component::Frontend] {
        let diagnoses = read_one(component, log.as_bytes()).unwrap();
        assert!(!diagnoses.is_empty());
        assert!(!format!("{diagnoses:?}").contains("s3cr3tvalue"), "{diagnoses:?}");
    }
}

#[rstest]
#[case::full_disk("psycopg2.errors.DiskFull", "could not extend file \"base/1/2\": No space left on device", &[Code::DatabaseDiskFull])]
#[case::nothing_of_it("psycopg2.errors.OutOfMemory", "out of memory", &[Code::DatabaseStarting])]
fn a_recovery_after_a_full_disk_follows_from_it(
    #[case] class: &str,
    #[case] message: &str,
    #[case] expected: &[Code],
) {
    let failed =
        |seconds| record(seconds, "error", "django.request", "Internal Server Error: /api/v1/flags/");
    let recovering = format!("{SERVER}FATAL:  the database system is in recovery mode");
    let log = failed(1)
        + &traceback(class, message, "OperationalError")
        + &failed(2)
        + &traceback("psycopg2.OperationalError", &recovering, "OperationalError")
        + &failed(3)
        + &traceback("psycopg2.OperationalError", &recovering, "OperationalError");
    assert_eq!(codes(Component::Api, &log), expected);
}

#[test]
fn a_failed_system_check_is_told_by_its_error() {
    let log = "SystemCheckError: System check identified some issues:\n\nERRORS:\n?: (caches.E001) You must define a 'default' cache in your CACHES setting.\n\nWARNINGS:\n?: (axes.W004) You have a deprecated setting\n\nSystem check identified 2 issues (0 silenced).\n";
    let found = read_one(Component::Migrations, log.as_bytes()).unwrap();
    assert_eq!(found[0].code, Code::MigrationFailed);
    assert!(found[0].message.contains("(caches.E001) You must define"), "{}", found[0].message);
}
