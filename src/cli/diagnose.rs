//! `diagnose --logs FILE`: says what is wrong from logs alone.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::diagnose::{Component, Diagnosis, Investigation, Severity, catalogue};

/// Exit status when something was diagnosed.
const DIAGNOSED: u8 = 1;
/// Exit status of bad usage, as clap's.
const UNUSABLE: u8 = 2;
/// Large enough that reading a gigabyte is not a matter of system calls.
const BUFFER: usize = 256 * 1024;

/// The arguments of `diagnose`.
#[derive(Args, Clone, Debug)]
pub struct DiagnoseArgs {
    /// Logs to read, in any of Flagsmith's formats; "-" reads standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub logs: Vec<PathBuf>,
    /// The process that wrote them
    #[arg(long, value_enum)]
    pub component: LogComponent,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

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
}

impl From<LogComponent> for Component {
    fn from(component: LogComponent) -> Self {
        match component {
            LogComponent::Migration => Self::Migrations,
            LogComponent::Api => Self::Api,
            LogComponent::TaskProcessor => Self::TaskProcessor,
            LogComponent::Frontend => Self::Frontend,
        }
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Reads the logs and writes what was found: exit status 0 when nothing was, 1 when something was, 2 when a file
/// cannot be read.
#[must_use]
pub fn run(args: &DiagnoseArgs) -> ExitCode {
    let mut investigation = Investigation::new(args.component.into());
    for path in &args.logs {
        if let Err(error) = read(&mut investigation, path) {
            let _ = writeln!(io::stderr(), "error: cannot read {}: {error}", path.display());
            return ExitCode::from(UNUSABLE);
        }
    }
    let diagnoses = investigation.conclude();
    let text = match args.output {
        Output::Text => text(&diagnoses),
        Output::Json => json(&diagnoses),
    };
    // A reader that went away (`| head`) has what it wanted; the exit status stays true.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if diagnoses.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIAGNOSED)
    }
}

fn read(investigation: &mut Investigation, path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        return investigation.read(
            "standard input",
            BufReader::with_capacity(BUFFER, io::stdin().lock()),
        );
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    investigation.read(&name, BufReader::with_capacity(BUFFER, File::open(path)?))
}

/// For a person at a terminal.
fn text(diagnoses: &[Diagnosis]) -> String {
    if diagnoses.is_empty() {
        return "Nothing wrong was found in these logs.\n".to_owned();
    }
    let blocks: Vec<String> = diagnoses.iter().map(block).collect();
    blocks.join("\n")
}

fn block(diagnosis: &Diagnosis) -> String {
    let severity = match diagnosis.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut block = format!("{} ({severity})\n  {}\n", diagnosis.code, diagnosis.message);
    for (index, evidence) in diagnosis.evidence.iter().enumerate() {
        let label = if index == 0 { "seen" } else { "    " };
        let _ = writeln!(block, "  {label}   {evidence}");
    }
    let _ = writeln!(
        block,
        "  do     {}\n  more   flagsmith-operator explain {}",
        diagnosis.remedy, diagnosis.code
    );
    block
}

#[derive(Serialize)]
struct Report<'a> {
    diagnoses: Vec<Reported<'a>>,
}

#[derive(Serialize)]
struct Reported<'a> {
    code: &'a str,
    severity: &'a str,
    component: &'a str,
    message: &'a str,
    evidence: &'a [String],
    remedy: &'a str,
    docs: String,
}

/// For a program.
fn json(diagnoses: &[Diagnosis]) -> String {
    let reported = diagnoses.iter().map(|diagnosis| Reported {
        code: diagnosis.code.as_str(),
        severity: diagnosis.severity.as_str(),
        component: diagnosis.component.as_str(),
        message: &diagnosis.message,
        evidence: &diagnosis.evidence,
        remedy: &diagnosis.remedy,
        docs: catalogue::docs(diagnosis.code),
    });
    let report = Report {
        diagnoses: reported.collect(),
    };
    serde_json::to_string_pretty(&report)
        .map_or_else(|_| "{\"diagnoses\": []}\n".to_owned(), |json| json + "\n")
}
