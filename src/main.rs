//! The `flagsmith-operator` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    flagsmith_operator::cli::main()
}
