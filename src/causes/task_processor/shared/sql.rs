//! SQL about tasks that users are given to paste into psql.

use crate::postgres::sql::literal;

/// Unlocks tasks; only while no task processor runs.
pub(crate) const UNLOCK: &str = "UPDATE task_processor_task SET is_locked = false WHERE is_locked AND NOT completed AND num_failures < 3;";

/// How many tasks are ready, and since when.
pub(crate) const READY: &str = "SELECT count(*), min(scheduled_for) FROM task_processor_task \
    WHERE NOT completed AND num_failures < 3 AND NOT is_locked AND scheduled_for < now();";

/// Which tasks are locked.
pub(crate) const LOCKED: &str = "SELECT task_identifier, count(*) FROM task_processor_task \
    WHERE is_locked AND NOT completed GROUP BY 1;";

/// What the sessions of the database do and wait for.
pub(crate) const SESSIONS: &str = "SELECT pid, state, wait_event_type, wait_event, now() - query_start, \
    left(query, 80) FROM pg_stat_activity WHERE application_name NOT LIKE 'psql%' AND state <> 'idle';";

/// How large the tables of tasks are.
pub(crate) const SIZES: &str = "SELECT n_live_tup, n_dead_tup, last_autovacuum, \
    pg_size_pretty(pg_total_relation_size(relid)) FROM pg_stat_user_tables WHERE relname LIKE 'task_processor_%';";

/// The placeholder for the name of a task that cannot be shown.
const TASK: &str = "TASK";

/// Queues tasks of these kinds again that were given up.
pub(crate) fn requeue(tasks: &[&str]) -> String {
    format!(
        "UPDATE task_processor_task SET num_failures = 0 WHERE {} AND NOT completed AND num_failures >= 3;",
        is_one_of(tasks)
    )
}

/// `task_identifier = 'a'`, or `task_identifier IN ('a', 'b')`.
fn is_one_of(tasks: &[&str]) -> String {
    let names: Vec<String> = tasks.iter().map(|task| literal(task, TASK)).collect();
    match names.as_slice() {
        [one] => format!("task_identifier = {one}"),
        all => format!("task_identifier IN ({})", all.join(", ")),
    }
}

/// Drops the tasks of this kind.
pub(crate) fn delete(task: &str) -> String {
    format!("DELETE FROM task_processor_task WHERE task_identifier = {};", literal(task, TASK))
}

/// Enables recurring tasks that were switched off.
pub(crate) fn enable(tasks: &[&str]) -> String {
    format!(
        "UPDATE task_processor_recurringtask SET is_disabled = false, num_consecutive_failures = 0 WHERE {};",
        is_one_of(tasks)
    )
}

/// The error of a task that failed.
pub(crate) fn error(task: &str) -> String {
    format!(
        "SELECT left(max(error_details), 2000) FROM task_processor_taskrun r JOIN task_processor_task t \
         ON t.id = r.task_id WHERE t.task_identifier = {} AND r.result = 'FAILURE';",
        literal(task, TASK)
    )
}

/// The newest error of each recurring task that was switched off.
pub(crate) const RECURRING_ERRORS: &str = "SELECT DISTINCT ON (t.id) t.task_identifier, r.error_details FROM \
    task_processor_recurringtaskrun r JOIN task_processor_recurringtask t ON t.id = r.task_id WHERE t.is_disabled AND \
    r.result = 'FAILURE' ORDER BY t.id, r.id DESC;";
