//! The `flagsmith-operator` binary.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flagsmith_operator::cli::{diagnose, explain};

/// A Kubernetes operator for self-hosted Flagsmith that says why something is wrong and what to do.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what is wrong, from logs
    Diagnose(diagnose::DiagnoseArgs),
    /// Explain a cause
    Explain(explain::ExplainArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Diagnose(args) => diagnose::run(&args),
        Command::Explain(args) => explain::run(&args),
    }
}
