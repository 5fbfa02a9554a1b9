//! Look-alikes, both sides.

mod causes;
mod forms;
mod life;

use super::*;
use crate::model::Code;

pub(super) fn codes(component: Component, log: &str) -> Vec<Code> {
    let diagnoses = read_one(component, log.as_bytes()).unwrap();
    diagnoses.into_iter().map(|diagnosis| diagnosis.code).collect()
}

/// A record of Flagsmith's format, `seconds` after a fixed moment.
pub(super) fn record(seconds: u32, level: &str, logger: &str, message: &str) -> String {
    format!(
        "2026-11-22T16:{:02}:{:02}.000000Z [{level:9}] {message} [{logger}] positional_args=()\n",
        seconds / 60,
        seconds % 60
    )
}

pub(super) fn gunicorn(seconds: u32, level: &str, message: &str) -> String {
    record(seconds, level, "gunicorn.error", message)
}

pub(super) fn waiting(seconds: u32, error: &str) -> String {
    let at = format!("2026-11-22T16:{:02}:{:02}.000000Z [warning  ]", seconds / 60, seconds % 60);
    format!(
        "{at} Error was: OperationalError: connection to server at \"db\", port 5432 failed: {error}\n [common.core.management.commands.waitfordb] positional_args=()\n"
    )
}

pub(super) fn traceback(class: &str, message: &str, wrapper: &str) -> String {
    format!(
        "Traceback (most recent call last):\n  File \"/x/django/db/backends/utils.py\", line 103, in _execute\n    return self.cursor.execute(sql)\n{class}: {message}\n\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"/x/y.py\", line 1, in f\ndjango.db.utils.{wrapper}: {message}\n\n"
    )
}

pub(super) const SERVER: &str = "connection to server at \"db\", port 5432 failed: ";
