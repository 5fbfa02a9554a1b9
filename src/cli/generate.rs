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
}

pub(super) fn main(args: &Args, program: clap::Command) -> ExitCode {
    let text = match args.what {
        What::Api => Ok(crate::api::api_markdown()),
        What::Cli => Ok(super::manual::markdown(program)),
        What::Metrics => crate::runtime::metrics::markdown().map_err(|error| error.to_string()),
        What::Causes => Ok(crate::causes::causes_markdown()),
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
