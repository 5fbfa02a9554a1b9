//! What the process writes to standard error: its log, and what is said of a panic.

use std::{
    io::{self, IsTerminal as _},
    panic::{self, PanicHookInfo},
    thread,
};

use clap::ValueEnum;
use thiserror::Error;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{LevelFilter, ParseError, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
    util::{SubscriberInitExt as _, TryInitError},
};

/// What is logged when nobody says otherwise: the operator's own steps, and what goes wrong in libraries.
pub(crate) const DEFAULT_FILTER: &str = "warn,flagsmith_operator=info";

/// The environment variable that sets the filter when the command line does not.
pub(crate) const FILTER_VARIABLE: &str = "RUST_LOG";

/// Where the client library logs answers that it cannot read, as a whole and at level WARN: a Secret's content
/// among them. No filter can switch these on.
const UNSAFE_TARGET: &str = "kube_client::client";

mod level;

pub(crate) use level::follow;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people; in colour when standard error is a terminal.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

/// Why there is no log.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The filter cannot be read.
    #[error("cannot read the log filter \"{filter}\", write for example \"info\" or \"{DEFAULT_FILTER}\"")]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A word that is none of the levels.
    #[error("\"{word}\" is no log level: off, error, warn, info, debug or trace")]
    NoLevel {
        /// The word.
        word: String,
    },
    /// The log is gone.
    #[error("what is logged could not be changed")]
    Change(#[from] reload::Error),
    /// There is a log already.
    #[error("the log was set up twice")]
    Twice(#[from] TryInitError),
}

/// What is logged, to be changed while it is.
#[derive(Debug, Clone)]
pub(crate) struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// From now on what `filter` says is logged. What no filter can switch on stays off. A word alone must be a level: a
    /// misspelt one would be taken for a module, and everything else would fall silent.
    pub(crate) fn set(&self, filter: &str) -> Result<(), Error> {
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        let mut words = filter.split(',').map(str::trim);
        if let Some(word) = words.find(|word| !word.contains('=') && !is_level(word)) {
            return Err(Error::NoLevel { word: word.to_owned() });
        }
        Ok(self.0.reload(parse(filter)?)?)
    }
}

/// Sets up the log of this process and what is logged when a thread panics.
///
/// `filter` is in the syntax of `RUST_LOG`; without it that variable counts, then [`DEFAULT_FILTER`].
pub(crate) fn init(format: LogFormat, filter: Option<&str>) -> Result<Level, Error> {
    let variable = std::env::var(FILTER_VARIABLE).ok().filter(|value| !value.trim().is_empty());
    let filter = parse(filter.or(variable.as_deref()).unwrap_or(DEFAULT_FILTER))?;
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (filter, level) = reload::Layer::new(filter);
    subscriber(format, filter, colour, io::stderr).try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(Level(level))
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder().parse(filter).map_err(|source| Error::Filter { filter: filter.to_owned(), source })
}

fn subscriber<W>(
    format: LogFormat,
    filter: reload::Layer<EnvFilter, Registry>,
    colour: bool,
    writer: W,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colour).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(lines.with_filter(filter_fn(is_safe)))
}

fn is_safe(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() || metadata.target() != UNSAFE_TARGET
}

/// Logs where a thread panicked. A formatted message may contain anything that the program handles, such as a
/// database URL, so only a message that is written in the program is repeated.
fn log_panic(info: &PanicHookInfo<'_>) {
    let said = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("message withheld");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    tracing::error!(thread = thread.name().unwrap_or("unnamed"), location, said, "panicked");
}

#[cfg(test)]
mod tests;
