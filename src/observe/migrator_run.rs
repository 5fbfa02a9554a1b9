//! Runs of containers that migrate a database on their own.

use std::fmt;

use jiff::Timestamp;

/// One run of a container that migrates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratorRun {
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its exit status.
    pub exit_code: Option<i32>,
}

impl fmt::Display for MigratorRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pod, container, started, .. } = self;
        write!(formatter, "pod {pod}, container {container}: started {started}")?;
        match (self.finished, self.exit_code) {
            (Some(finished), Some(0)) => write!(formatter, ", succeeded {finished}"),
            (Some(finished), Some(code)) => write!(formatter, ", failed {finished} with status {code}"),
            _ => write!(formatter, ", running"),
        }
    }
}
