//! What is known about Flagsmith's releases, as data.

mod chart_values;
pub(crate) mod env;
pub(crate) mod failures;
pub(crate) mod gunicorn;
pub(crate) mod hosts;
mod processor;
mod release;
pub(crate) mod startup;
pub(crate) mod upgrades;
mod worker_class;

pub(crate) use chart_values::chart_values_markdown;
pub(crate) use processor::{INTERRUPTED, ProcessorPace};
pub(crate) use release::{InvalidRelease, Release};
pub(crate) use worker_class::WorkerClass;

/// The oldest release that the operator runs: the first with the `flagsmith` command line
/// (`exec flagsmith start …`, Flagsmith 2.170.0).
pub(crate) const OLDEST_SUPPORTED: Release = Release::new(2, 170, 0);

/// The first release that needs PostgreSQL 14: it brings Django 5.2 (Flagsmith 2.212.1).
pub(crate) const POSTGRES_14_SINCE: Release = Release::new(2, 212, 1);

/// The first release that migrates a `ClickHouse` where one is configured (alias `clickhouse`, Flagsmith 2.235.0).
pub(crate) const CLICKHOUSE_SINCE: Release = Release::new(2, 235, 0);

/// The first release whose `run-task-processor` migrates before it works (`run-docker.sh` of Flagsmith 2.178.0).
pub(crate) const TASK_PROCESSOR_MIGRATES_SINCE: Release = Release::new(2, 178, 0);

/// The releases whose `run-task-processor` takes tasks and never runs one (flagsmith-common 3.12.0; fixed in 3.12.1).
pub(crate) const VERB_RUNS_NO_TASK: std::ops::Range<Release> =
    Release::new(2, 253, 0)..Release::new(2, 260, 0);

/// Flagsmith's own command line; in the path of every image since 2.170.0, whatever its entrypoint.
pub(crate) const COMMAND: &[&str] = &["flagsmith"];

/// What each process of Gunicorn needs (measured, Flagsmith 2.265.0).
pub(crate) const OF_A_WORKER: &str = "190 to 220 MiB idle";

/// The port of the API and of the task processor's health checks (Gunicorn's bind in every release).
pub(crate) const HTTP_PORT: i32 = 8000;

/// The first release with metrics on a port of their own (flagsmith-common 3.3.0).
pub(crate) const SERVES_METRICS_SINCE: Release = Release::new(2, 211, 0);

/// The port of Prometheus metrics, since [`SERVES_METRICS_SINCE`].
pub(crate) const METRICS_PORT: i32 = 9100;

/// The port of the frontend (`PORT` of its image).
pub(crate) const FRONTEND_PORT: i32 = 8080;

/// Answers 200 as long as the frontend's process does, without asking the API.
pub(crate) const FRONTEND_HEALTH_PATH: &str = "/health";

/// The port of the edge proxy.
pub(crate) const EDGE_PROXY_PORT: i32 = 8000;

/// Answers 200 as long as the edge proxy's process does.
pub(crate) const EDGE_PROXY_LIVENESS_PATH: &str = "/proxy/health/liveness";

/// Answers 503 until the edge proxy has had the flags of every environment.
pub(crate) const EDGE_PROXY_READINESS_PATH: &str = "/proxy/health/readiness";

/// The user of Flagsmith's images (`USER nobody` since 2.131.0).
pub(crate) const USER: i64 = 65534;

/// The directory of Gunicorn's multi-process metrics; the images expect it to exist.
pub(crate) const PROMETHEUS_DIR: &str = "/tmp/prometheus";

/// Answers 200 without a database (releases since 2.168.0).
pub(crate) const LIVENESS_PATH: &str = "/health/liveness/";

/// Answers 500 without a reachable, writable, migrated database (releases since 2.168.0).
pub(crate) const READINESS_PATH: &str = "/health/readiness/";

/// The lowest major version of PostgreSQL that a release accepts.
pub(crate) fn postgres_minimum(release: Release) -> u32 {
    if release >= POSTGRES_14_SINCE { 14 } else { 12 }
}

/// The first release whose `flagsmith migrate` does all that is needed (wait, every database, cache tables).
const COMMAND_MIGRATES_SINCE: Release = Release::new(2, 253, 0);

/// What migrates everything in a release's image; before 2.253.0 only the entrypoint's script knew how.
pub(crate) fn migrate_command(release: Release) -> &'static str {
    if release >= COMMAND_MIGRATES_SINCE { "flagsmith migrate" } else { "/app/scripts/run-docker.sh migrate" }
}

/// Whether a container with these words in its command or arguments migrates the database: `run-task-processor` does
/// so since 2.178.0.
pub(crate) fn migrates<'a>(words: impl Iterator<Item = &'a str>) -> bool {
    words.into_iter().any(|word| {
        matches!(word, "migrate" | "migrate-and-serve" | "run-task-processor") || word.ends_with("/migrate")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("2.170.0", 12)]
    #[case("2.212.0", 12)]
    #[case("2.212.1", 14)]
    #[case("2.265.0", 14)]
    fn needs_a_postgres(#[case] release: &str, #[case] expected: u32) {
        assert_eq!(postgres_minimum(release.parse().unwrap()), expected);
    }
}
