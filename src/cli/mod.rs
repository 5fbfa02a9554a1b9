//! The command line: one file for each command.

mod attendance;
mod cluster;
mod complete;
mod completions;
mod context;
mod diagnose;
mod docs;
mod explain;
mod failure;
mod findings;
mod generate;
mod list;
mod look;
mod manual;
mod output;
mod plan;
mod proxy;
mod ready;
mod report;
mod run;
mod standing;
mod status;
mod tree;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use cluster::ClusterArgs;
use context::program;
use failure::Failure;

/// Operates self-hosted Flagsmith on Kubernetes, and says why something is wrong and what to do.
#[derive(Debug, Parser)]
#[command(name = "flagsmith-operator", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says what is wrong with an installation and what to do; from the cluster, or from logs alone.
    Diagnose(diagnose::DiagnoseArgs),
    /// Shows an installation at a glance: components, pods, migration, timeouts, what is wrong.
    Status(status::StatusArgs),
    /// Lists installations, one line each, with the worst of what the operator has found.
    List(list::ListArgs),
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
    /// Asks whether the operators behind an address are ready; what `helm test` runs.
    #[command(hide = true)]
    Ready(ready::ReadyArgs),
    /// Prints files that are generated from the source.
    #[command(hide = true)]
    Generate(generate::Args),
}

impl Cli {
    /// The command, with the options that stood before it: as with kubectl, they may stand on either side.
    fn chosen(self) -> Result<Command, Failure> {
        let (before, mut command) = (self.cluster, self.command);
        match &mut command {
            Command::Diagnose(args) => args.cluster.fill(before),
            Command::Status(args) => args.cluster.fill(before),
            Command::List(args) => args.cluster.fill(before),
            Command::Plan(args) => args.cluster.fill(before),
            Command::Report(args) => args.cluster.fill(before),
            Command::Run(_) if before.is_given() => {
                return Err(Failure::usage(
                    "--namespace, --context and --kubeconfig say which cluster is asked, and \"run\" asks none",
                    "run --namespaces NAMESPACE,… says what the operator looks after; its cluster is that of $KUBECONFIG, or the one that it runs in",
                ));
            }
            // They ask no cluster, and are used with an alias that names one.
            Command::Run(_)
            | Command::Explain(_)
            | Command::Completions(_)
            | Command::Ready(_)
            | Command::Generate(_) => {}
        }
        Ok(command)
    }
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(words) = complete::asked(std::env::args_os()) {
        return complete::run(Cli::command(), words);
    }
    let matches = Cli::command().bin_name(program()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.chosen().and_then(carry_out).unwrap_or_else(|failure| failure.report())
}

fn carry_out(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Diagnose(args) => diagnose::run(&args),
        Command::Status(args) => status::run(&args),
        Command::List(args) => list::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Explain(args) => Ok(explain::run(&args)),
        Command::Completions(args) => Ok(completions::run(&args, Cli::command())),
        Command::Run(args) => Ok(run::main(args)),
        Command::Ready(args) => ready::run(&args),
        Command::Generate(args) => Ok(generate::main(&args, Cli::command())),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::before(&["-n", "prod", "--context", "c", "status"])]
    #[case::after(&["status", "-n", "prod", "--context", "c"])]
    #[case::on_both_sides(&["--context", "c", "status", "--namespace", "prod"])]
    #[case::the_nearer_one_counts(&["-n", "other", "--context", "c", "status", "-n", "prod"])]
    fn options_of_the_cluster_stand_on_either_side_of_the_command(#[case] arguments: &[&str]) {
        let all = ["flagsmith-operator"].iter().chain(arguments);
        let command = Cli::try_parse_from(all).unwrap().chosen().unwrap();
        let Command::Status(args) = command else {
            panic!("{command:?}");
        };
        assert_eq!(
            (args.cluster.namespace.as_deref(), args.cluster.context.as_deref()),
            (Some("prod"), Some("c"))
        );
    }

    #[test]
    fn the_operator_itself_takes_no_namespace_to_ask_about() {
        let cli = Cli::try_parse_from(["flagsmith-operator", "-n", "prod", "run"]).unwrap();
        assert!(cli.chosen().is_err());
    }
}
