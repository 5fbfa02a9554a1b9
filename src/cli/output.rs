//! How results are written: for people, or for programs.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::failure::Failure;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs, and for people who like it
    Yaml,
}

impl Output {
    /// Writes a result: as `text` gives it, or serialized.
    pub(super) fn write<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let written = match self {
            Self::Text => text(value),
            Self::Json => {
                serde_json::to_string_pretty(value).map_err(|error| Failure::internal(&error))? + "\n"
            }
            Self::Yaml => serde_saphyr::to_string(value).map_err(|error| Failure::internal(&error))?,
        };
        print(&written);
        Ok(())
    }
}

/// Writes to standard output, without colours where that is no terminal. A reader that went away (`| head`) has
/// what it wanted.
pub(super) fn print(text: &str) {
    let _ = anstream::stdout().lock().write_all(text.as_bytes());
}

/// Whether a person at a terminal reads along.
pub(super) fn at_terminal() -> bool {
    io::stdout().is_terminal()
}
