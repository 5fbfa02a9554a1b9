//! The command line: one file for each command.

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
        Command::Run(args) => run::main(args),
        Command::Generate(args) => generate::main(&args),
    }
}
