//! The questions to the task tables. Each uses an index of the table or a bounded number of its newest rows, so
//! that it costs the same whether the table has a thousand rows or ten million (`tests/bench/queue-probe`).
//!
//! Tables and columns: `task_processor/models.py` and migrations 0001 to 0015 of flagsmith-common 3.13.

use jiff::{SignedDuration, Timestamp};

use super::{
    super::{
        probe::{ProbeFailure, ProbeFailureKind},
        rows::Raw,
        session::Session,
        text::bounded,
    },
    state::{Blocker, Connections, Holder, LastRun, Lock, Queue, Recurring, Runs, Written},
};

/// Characters of an error that are shown.
const ERROR_SHOWN: usize = 200;

/// After how long without a sign of work it is asked who blocks it.
const SILENT: SignedDuration = SignedDuration::from_secs(60);

/// Whether there are task tables, which columns this release has, and the newest transaction id.
const PRESENT: &str = "\
SELECT to_regclass('task_processor_task') IS NOT NULL,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('task_processor_recurringtask') AND attname = 'last_picked_at'),
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('task_processor_recurringtask') AND attname = 'is_disabled'),
       txid_snapshot_xmax(txid_current_snapshot())";

/// The incomplete tasks that are due, oldest first, by the partial index `incomplete_tasks_idx`.
const WAITING: &str = "\
WITH due AS MATERIALIZED (
    SELECT is_locked, scheduled_for FROM task_processor_task
    WHERE NOT completed AND num_failures < 3 AND scheduled_for < now()
    ORDER BY scheduled_for LIMIT 10001)
SELECT count(*) FILTER (WHERE NOT is_locked), count(*) FILTER (WHERE is_locked),
       extract(epoch FROM now() - min(scheduled_for) FILTER (WHERE NOT is_locked))::float8,
       extract(epoch FROM now() - (SELECT created_at FROM task_processor_task ORDER BY id DESC LIMIT 1))::float8
FROM due";

/// Those of them that a processor has picked up.
const LOCKS: &str = "\
WITH due AS MATERIALIZED (
    SELECT id, task_identifier, is_locked, timeout, scheduled_for, age(xmin) AS written FROM task_processor_task
    WHERE NOT completed AND num_failures < 3 AND scheduled_for < now()
    ORDER BY scheduled_for LIMIT 10001)
SELECT id::int8, task_identifier::text, extract(epoch FROM timeout)::float8,
       extract(epoch FROM now() - scheduled_for)::float8, written::int8
FROM due WHERE is_locked ORDER BY scheduled_for LIMIT 500";

/// The transactions that wrote the newest results, in steps of fifteen seconds: of each step the newest transaction and
/// the latest time. One writes the results of a whole batch, of which the last had just ended.
const WRITTEN: &str = "\
WITH written AS MATERIALIZED (
    (SELECT age(xmin) AS age, finished_at FROM task_processor_taskrun ORDER BY id DESC LIMIT 1000)
    UNION ALL
    (SELECT age(xmin), finished_at FROM task_processor_recurringtaskrun ORDER BY id DESC LIMIT 1000)),
transactions AS (SELECT age, max(finished_at) AS ended FROM written WHERE finished_at IS NOT NULL GROUP BY age)
SELECT min(age)::int8, extract(epoch FROM now() - max(ended))::float8 FROM transactions
GROUP BY floor(extract(epoch FROM ended) / 15) ORDER BY 1 DESC LIMIT 500";

/// The newest runs, by kind of task; the text of an error is read for one run of each kind only.
const RUNS: &str = "\
WITH newest AS MATERIALIZED (
    SELECT id, task_id, result, started_at, finished_at FROM task_processor_taskrun ORDER BY id DESC LIMIT 1000),
kinds AS (
    SELECT t.task_identifier AS kind, count(*) AS total, count(*) FILTER (WHERE r.result = 'FAILURE') AS failed,
           max(r.id) AS last, max(r.id) FILTER (WHERE r.result = 'FAILURE') AS last_failure,
           max(r.finished_at) FILTER (WHERE r.result = 'SUCCESS') AS last_success,
           avg(r.finished_at - r.started_at) FILTER (WHERE r.result = 'SUCCESS') AS takes
    FROM newest r JOIN task_processor_task t ON t.id = r.task_id
    WHERE r.started_at > now() - interval '1 hour' GROUP BY 1 ORDER BY failed DESC, total DESC LIMIT 50)
SELECT kind::text, total, failed, last = coalesce(last_failure, 0),
       extract(epoch FROM now() - last_success)::float8, extract(epoch FROM takes)::float8,
       (SELECT right(error_details, 600) FROM task_processor_taskrun WHERE id = last_failure)
FROM kinds";

/// Tasks that were given up, among the newest.
const GIVEN_UP: &str = "\
WITH newest AS MATERIALIZED (
    SELECT task_identifier, num_failures, completed, created_at FROM task_processor_task ORDER BY id DESC LIMIT 5000)
SELECT task_identifier::text, count(*) FROM newest
WHERE num_failures >= 3 AND NOT completed AND created_at > now() - interval '1 hour'
GROUP BY 1 ORDER BY 2 DESC LIMIT 50";

/// The newest run of each recurring task.
const RECURRING_RUNS: &str = "\
WITH newest AS MATERIALIZED (
    SELECT id, task_id, result, started_at FROM task_processor_recurringtaskrun ORDER BY id DESC LIMIT 1000),
last AS (SELECT DISTINCT ON (task_id) * FROM newest ORDER BY task_id, id DESC LIMIT 100)
SELECT task_id::int8, result = 'SUCCESS', extract(epoch FROM now() - started_at)::float8,
       CASE WHEN result = 'FAILURE' THEN
           (SELECT right(error_details, 600) FROM task_processor_recurringtaskrun r WHERE r.id = last.id) END
FROM last";

/// Estimates that PostgreSQL keeps.
const SIZE: &str = "\
SELECT greatest(reltuples, 0)::int8, pg_total_relation_size(oid) FROM pg_class WHERE oid = to_regclass('task_processor_task')";

/// `reserved_connections` is new in PostgreSQL 16. What is counted are server processes of every database, which
/// any role may see.
const CONNECTIONS: &str = "\
SELECT least(current_setting('max_connections')::int8,
             (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
             (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())),
       current_setting('superuser_reserved_connections')::int8
           + coalesce(current_setting('reserved_connections', true)::int8, 0),
       (SELECT sum(numbackends)::int8 FROM pg_stat_database)";

/// Who has most connections. Other roles' applications and addresses are NULL for a role without `pg_read_all_stats`.
const HOLDERS: &str = "\
SELECT coalesce(usename::text, ''), coalesce(datname::text, ''), application_name, host(client_addr), count(*)
FROM pg_stat_activity
WHERE datid IS NOT NULL AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend'
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 20";

/// Sessions of this database that others wait for, themselves waiting for nobody.
const BLOCKERS: &str = "\
WITH waiting AS (
    SELECT pid, pg_blocking_pids(pid) AS blocking FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database() LIMIT 100),
pids AS (SELECT unnest(blocking) AS pid, count(*) AS sessions FROM waiting GROUP BY 1)
SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.state, 'unknown'), coalesce(a.usename::text, ''),
       extract(epoch FROM now() - a.xact_start)::float8, pids.sessions
FROM pids JOIN pg_stat_activity a USING (pid)
WHERE a.pid NOT IN (SELECT pid FROM waiting) ORDER BY pids.sessions DESC LIMIT 3";

type RunRow = (String, i64, i64, bool, Option<f64>, Option<f64>, Option<Raw>);
type RecurringRow = (i64, String, bool, i32, bool, Option<f64>);
type BlockerRow = (i32, String, String, String, Option<f64>, i64);
type HolderRow = (String, String, Option<String>, Option<String>, i64);
type LastRow = (i64, Option<bool>, f64, Option<Raw>);

/// Asks everything. `None`: there are no task tables.
pub(super) async fn ask(session: &mut Session, now: Timestamp) -> Result<Option<Queue>, ProbeFailure> {
    let (present, has_heartbeat, has_disabled, xid): (bool, bool, bool, i64) = session.one(PRESENT).await?;
    if !present {
        return Ok(None);
    }
    let (ready, locked, oldest, queued): (i64, i64, Option<f64>, Option<f64>) = session.one(WAITING).await?;
    let mut queue = Queue {
        at: now,
        xid,
        ready,
        locked,
        oldest_ready: oldest.map(seconds),
        last_queued: queued.map(seconds),
        ..Queue::default()
    };
    if locked > 0 {
        queue.locks = known(locks(session, xid).await)?.unwrap_or_default();
        let written: Vec<(i64, f64)> = known(session.all(WRITTEN).await)?.unwrap_or_default();
        queue.written =
            written.into_iter().map(|(age, ago)| Written { xid: xid - age, ago: seconds(ago) }).collect();
    }
    queue.recurring = known(recurring(session, has_heartbeat, has_disabled).await)?;
    queue.runs =
        known(session.all::<RunRow>(RUNS).await)?.unwrap_or_default().into_iter().map(runs).collect();
    queue.given_up = known(session.all(GIVEN_UP).await)?.unwrap_or_default();
    (queue.rows, queue.bytes) = known(session.one(SIZE).await)?.unwrap_or_default();
    queue.connections = known(session.one(CONNECTIONS).await)?.map(|(limit, reserved, used)| Connections {
        limit,
        reserved,
        used,
    });
    let holders: Vec<HolderRow> = known(session.all(HOLDERS).await)?.unwrap_or_default();
    queue.holders = holders.into_iter().map(holder).collect();
    if queue.heartbeat().is_none_or(|age| age > SILENT) {
        let rows: Vec<BlockerRow> = known(session.all(BLOCKERS).await)?.unwrap_or_default();
        queue.blockers = rows.into_iter().map(blocker).collect();
    }
    Ok(Some(queue))
}

/// `None` for what this server or role does not tell: a column that another release has, a table without SELECT, a
/// system column that a compatible database lacks, a question that a lock holds up.
fn known<T>(answer: Result<T, ProbeFailure>) -> Result<Option<T>, ProbeFailure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) => match failure.kind {
            ProbeFailureKind::Undefined
            | ProbeFailureKind::Forbidden
            | ProbeFailureKind::TooSlow
            | ProbeFailureKind::Other => Ok(None),
            _ => Err(failure),
        },
    }
}

async fn locks(session: &mut Session, xid: i64) -> Result<Vec<Lock>, ProbeFailure> {
    let rows: Vec<(i64, String, Option<f64>, f64, i64)> = session.all(LOCKS).await?;
    let lock = |(id, identifier, timeout, due, age): (i64, String, Option<f64>, f64, i64)| Lock {
        id,
        identifier,
        timeout: timeout.map(seconds),
        due: seconds(due),
        xid: xid - age,
    };
    Ok(rows.into_iter().map(lock).collect())
}

async fn recurring(
    session: &mut Session,
    has_heartbeat: bool,
    has_disabled: bool,
) -> Result<Vec<Recurring>, ProbeFailure> {
    let picked = if has_heartbeat { "last_picked_at" } else { "NULL::timestamptz" };
    let (disabled, failures) =
        if has_disabled { ("is_disabled", "num_consecutive_failures") } else { ("false", "0") };
    // Nothing but the constants above goes into the text.
    let question = format!(
        "SELECT id::int8, task_identifier::text, {disabled}, {failures}::int4, is_locked, \
         extract(epoch FROM now() - {picked})::float8 FROM task_processor_recurringtask ORDER BY id LIMIT 100"
    );
    let tasks: Vec<RecurringRow> = session.all(&question).await?;
    let last: Vec<LastRow> = known(session.all(RECURRING_RUNS).await)?.unwrap_or_default();
    let of = |id: i64| last.iter().find(|row| row.0 == id);
    Ok(tasks
        .into_iter()
        .map(|(id, identifier, disabled, failures, locked, picked)| Recurring {
            identifier,
            disabled,
            failures,
            locked,
            picked: picked.map(seconds),
            last: of(id).map(|(_, succeeded, began, error)| LastRun {
                succeeded: *succeeded,
                began: seconds(*began),
                error: error.as_ref().map(excerpt),
            }),
        })
        .collect())
}

fn runs((identifier, total, failed, last_failed, last_success, takes, error): RunRow) -> Runs {
    Runs {
        identifier,
        total,
        failed,
        last_failed,
        last_success: last_success.map(seconds),
        takes: takes.map(seconds),
        error: error.as_ref().map(excerpt),
    }
}

fn holder((user, database, application, address, connections): HolderRow) -> Holder {
    Holder {
        user,
        database,
        application: application.unwrap_or_default(),
        address: address.and_then(|address| address.parse().ok()),
        connections,
        many_since: None,
    }
}

fn blocker((pid, application, state, user, open, waiting): BlockerRow) -> Blocker {
    Blocker { pid, application, state, user, open: open.map(seconds), waiting }
}

/// What a traceback raises in the end: the first line after its last frame. What follows are details (PostgreSQL
/// adds the statement and a pointer into it).
fn excerpt(Raw(traceback): &Raw) -> String {
    let lines: Vec<&str> = traceback.lines().filter(|line| !line.trim().is_empty()).collect();
    let frame = lines.iter().rposition(|line| line.trim_start().starts_with("File \""));
    let raised = lines
        .iter()
        .skip(frame.map_or(0, |frame| frame + 1))
        .find(|line| frame.is_none() || !line.starts_with(char::is_whitespace))
        .or(lines.last());
    bounded(raised.map_or("", |line| line.trim()), ERROR_SHOWN)
}

fn seconds(value: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(value).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::of_python(
        "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\n    raise\nValueError: no https://u:s3cr3t@h/\n\n",
        "ValueError: no "
    )]
    #[case::with_details(
        "  File \"x.py\", line 1, in f\n    execute()\npsycopg2.errors.UndefinedColumn: column x does not exist\nLINE 1: SELECT x\n               ^\n",
        "psycopg2.errors.UndefinedColumn: column x does not exist"
    )]
    #[case::cut_off("ckoff\nTaskBackoffError: later\n", "ckoff")]
    #[case::empty("", "")]
    fn a_traceback_says_what_it_raises(#[case] text: &str, #[case] expected: &str) {
        let shown = excerpt(&Raw(text.to_owned()));
        assert!(shown.starts_with(expected), "{shown}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}
