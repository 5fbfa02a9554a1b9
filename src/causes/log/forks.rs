//! Connections that workers share. Flagsmith asks the database before Gunicorn forks its workers (flagsmith-common
//! reports its version at import), and a worker of class `sync` goes on with the connection that it has inherited:
//! the end of one worker closes it for all, and for those that are forked later. Threads of `gthread` open their own.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::Stage;
use crate::flagsmith::WorkerClass;
use crate::model::Code;

/// How many workers had ended, where that explains all of a log's closed connections: workers of class `sync`, an
/// end before the first failure, no more than one failure of each worker for each end, and nothing else wrong with
/// the database.
#[must_use]
pub fn ends_that_closed(case: &LogEvidence, occurrence: &Occurrence) -> Option<usize> {
    let workers = &case.workers;
    let source = occurrence.source;
    let failures: Vec<&Occurrence> = case
        .occurrences
        .iter()
        .filter(|other| other.source == source && other.code.cause().is_connection)
        .collect();
    let closed = failures.iter().all(|other| {
        other.code == Code::DatabaseConnectionLost
            && other.details.form == "closed"
            && other.stage == Stage::Serve
    });
    let first = failures.iter().map(|other| other.first.line).min()?;
    let last = failures.iter().map(|other| other.last.line).max()?;
    let count: u64 = failures.iter().map(|other| other.count).sum();
    let ends = workers.forks.ends_before(source, last);
    let bound = u64::try_from(ends * workers.forks.workers(source)).unwrap_or(u64::MAX);
    let explained = closed
        && workers.regime == Some(WorkerClass::Sync)
        && workers.forks.ends_before(source, first) > 0
        && count <= bound;
    explained.then_some(ends)
}

#[cfg(test)]
mod tests {
    use crate::{
        causes::diagnose_log,
        model::{Code, Component},
    };
    use rstest::rstest;

    const SYNC: &str = "[2026-11-24 10:00:00 +0000] [1] [INFO] Using worker: sync\n";
    const THREADS: &str = "[2026-11-24 10:00:00 +0000] [1] [INFO] Using worker: gthread\n";
    const TWO: &str = "[2026-11-24 10:00:00 +0000] [7] [INFO] Booting worker with pid: 7\n[2026-11-24 10:00:00 +0000] [8] [INFO] Booting worker with pid: 8\n";
    const ENDS: &str = "[2026-11-24 10:00:05 +0000] [7] [INFO] Worker exiting (pid: 7)\n";
    const TIMEOUT: &str = "[2026-11-24 10:00:05 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n";
    const FAILS: &str = "2026-11-24T10:00:06.000000Z [error    ] Internal Server Error: /api/v1/flags/ [django.request] status_code=500\nTraceback (most recent call last):\n  File \"/x/django/core/handlers/exception.py\", line 55, in inner\n    r()\npsycopg2.OperationalError: server closed the connection unexpectedly\n\n";
    const REFUSED: &str = "2026-11-24T10:00:06.000000Z [error    ] Internal Server Error: /api/v1/flags/ [django.request] status_code=500\nTraceback (most recent call last):\n  File \"/x/django/core/handlers/exception.py\", line 55, in inner\n    r()\npsycopg2.OperationalError: connection to server at \"db\", port 5432 failed: Connection refused\n\n";

    fn found(parts: &[&str]) -> Vec<(Code, bool)> {
        let log = parts.concat();
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let shared = |text: &str| text.contains("share one database connection");
        found
            .iter()
            .map(|(_, it)| (it.code, shared(&it.message)))
            .collect()
    }

    /// The same closed connection: a worker of either class ended before it, after it, or the database went.
    #[rstest]
    #[case(&[SYNC, TWO, ENDS, FAILS], true)]
    #[case(&[THREADS, TWO, ENDS, FAILS], false)]
    #[case(&[SYNC, TWO, FAILS, ENDS], false)]
    #[case(&[SYNC, TWO, ENDS, FAILS, FAILS, FAILS], false)]
    fn a_worker_takes_the_connection_with_it(#[case] parts: &[&str], #[case] shared: bool) {
        assert_eq!(found(parts), [(Code::DatabaseConnectionLost, shared)]);
    }

    #[test]
    fn a_refusal_is_the_database() {
        assert_eq!(
            found(&[SYNC, TWO, ENDS, FAILS, REFUSED]),
            [(Code::DatabaseUnreachable, false)]
        );
    }

    #[test]
    fn it_follows_from_what_ended_the_worker() {
        assert_eq!(
            found(&[SYNC, TWO, TIMEOUT, ENDS, FAILS]),
            [(Code::GunicornWorkerTimeout, false)]
        );
    }
}
