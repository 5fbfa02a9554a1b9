//! `generate`: what `make generate` writes into the repository.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::ValueEnum;

/// What to print.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which file.
    what: What,
    /// Of `man`: the command whose page it is, without it that of the program.
    page: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The `CustomResourceDefinition`.
    Crd,
    /// The documentation of every field.
    Api,
    /// The documentation of all causes.
    Causes,
    /// The page of the command line.
    Cli,
    /// The page of all metrics.
    Metrics,
    /// Where each value of the official chart goes.
    ChartValues,
    /// A manual page, for `man`.
    Man,
}

pub(super) fn main(args: &Args, program: clap::Command) -> ExitCode {
    let text = match args.what {
        What::Api => Ok(crate::api::api_markdown()),
        What::Cli => Ok(super::manual::markdown(program)),
        What::Metrics => crate::runtime::metrics::markdown().map_err(|error| error.to_string()),
        What::Causes => Ok(crate::causes::causes_markdown()),
        What::ChartValues => Ok(crate::flagsmith::chart_values_markdown()),
        What::Man => super::manual::man(program, args.page.as_deref()),
        What::Crd => crate::api::crd_yaml().map_err(|error| error.to_string()),
    };
    match text.and_then(|text| io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
