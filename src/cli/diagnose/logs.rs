//! `diagnose --logs FILE --component COMPONENT`: without a cluster.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::failure::Failure;
use crate::{
    causes::Investigation,
    model::{Component, Diagnosis},
};

/// Large enough that reading a gigabyte is not a matter of system calls.
const BUFFER: usize = 256 * 1024;

/// A process of Flagsmith whose log can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogComponent {
    /// `flagsmith migrate`: a migration Job or init container
    #[value(alias = "migrations")]
    Migration,
    /// `flagsmith start … api`, or `serve`
    Api,
    /// `flagsmith start … task-processor`, or `run-task-processor`
    TaskProcessor,
    /// The Node.js server of the dashboard
    Frontend,
    /// The edge proxy
    EdgeProxy,
}

impl From<LogComponent> for Component {
    fn from(component: LogComponent) -> Self {
        match component {
            LogComponent::Migration => Self::Migrations,
            LogComponent::Api => Self::Api,
            LogComponent::TaskProcessor => Self::TaskProcessor,
            LogComponent::Frontend => Self::Frontend,
            LogComponent::EdgeProxy => Self::EdgeProxy,
        }
    }
}

/// What the logs say, the most likely cause first.
pub(super) fn read(paths: &[PathBuf], component: LogComponent) -> Result<Vec<Diagnosis>, Failure> {
    let mut investigation = Investigation::new(component.into());
    for path in paths {
        read_one(&mut investigation, path).map_err(|error| {
            Failure::usage(
                format!("cannot read {}: {error}", path.display()),
                "--logs FILE names a file of log lines, and --logs - standard input",
            )
        })?;
    }
    Ok(investigation.conclude())
}

fn read_one(investigation: &mut Investigation, path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        return investigation.read("standard input", BufReader::with_capacity(BUFFER, io::stdin().lock()));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    investigation.read(&name, BufReader::with_capacity(BUFFER, File::open(path)?))
}
