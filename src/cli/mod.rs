//! The command line: one file for each command.

mod diagnose;
mod explain;
mod generate;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Operates self-hosted Flagsmith on Kubernetes, and says why something is wrong and what to do.
#[derive(Debug, Parser)]
#[command(name = "flagsmith-operator", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong, from logs.
    Diagnose(diagnose::DiagnoseArgs),
    /// Explains a cause that the operator diagnoses.
    Explain(explain::ExplainArgs),
    /// Runs the operator in a cluster.
    Run(run::Args),
    /// Prints files that are generated from the source.
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Diagnose(args) => diagnose::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Run(args) => run::main(args),
        Command::Generate(args) => generate::main(&args),
    }
}
