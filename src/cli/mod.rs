//! The command line: one file for each command.

mod cluster;
mod completions;
mod context;
mod diagnose;
mod explain;
mod failure;
mod findings;
mod generate;
mod look;
mod manual;
mod output;
mod plan;
mod report;
mod run;
mod status;
mod tree;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use context::program;

/// Operates self-hosted Flagsmith on Kubernetes, and says why something is wrong and what to do.
#[derive(Debug, Parser)]
#[command(name = "flagsmith-operator", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong with an installation and what to do; from the cluster, or from logs alone.
    Diagnose(diagnose::DiagnoseArgs),
    /// Shows an installation at a glance: components, pods, migration, timeouts, what is wrong.
    Status(status::StatusArgs),
    /// Says what would be done, in order and why, and does nothing.
    Plan(plan::PlanArgs),
    /// Writes one archive for a support ticket: resource, objects, Events, logs, diagnoses; without secrets.
    Report(report::ReportArgs),
    /// Explains a cause that the operator diagnoses.
    Explain(explain::ExplainArgs),
    /// Prints a script that completes commands and options: source <(flagsmith-operator completions bash)
    Completions(completions::CompletionsArgs),
    /// Runs the operator in a cluster.
    Run(run::Args),
    /// Prints files that are generated from the source.
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().bin_name(program()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Diagnose(args) => diagnose::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Explain(args) => Ok(explain::run(&args)),
        Command::Completions(args) => Ok(completions::run(&args, Cli::command())),
        Command::Run(args) => Ok(run::main(args)),
        Command::Generate(args) => Ok(generate::main(&args, Cli::command())),
    };
    result.unwrap_or_else(|failure| failure.report())
}
