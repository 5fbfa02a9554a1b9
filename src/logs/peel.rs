//! A line of a process without what collectors have wrapped it in.

use std::borrow::Cow;

use super::csv::Rows;
use super::json::{self, Json, JsonRecord};
use super::leaves::Layout;
use super::prefix::strip;
use super::time::Moment;

/// How many wrappers are taken off one line. A container runtime's inside a cloud's export are two; a line that goes on
/// wrapping itself is an attack on the stack.
const WRAPPERS: usize = 4;
/// How many prefixes stand one behind the other: a shipper's in front of what kubectl has printed.
const PREFIXES: usize = 2;

/// What lines are wrapped in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrapping {
    /// Where in JSON the lines of the process stand.
    pub layout: Layout,
    /// The form of the rows of a table.
    pub rows: Option<Rows>,
}

/// A line without wrappers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peeled<'a> {
    /// The pod or Compose service; empty when nothing names one.
    pub source: String,
    /// When a collector received it, or says that it was written.
    pub time: Option<Moment>,
    /// The runtime has cut it here; it goes on in the next one of the same stream.
    pub partial: bool,
    /// What the process wrote.
    pub content: Content<'a>,
}

/// What a process wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// A line, or several where a collector has put them together.
    Text(Cow<'a, str>),
    /// A log record in JSON.
    Record(Box<JsonRecord>),
}

/// Takes off everything that is not the process's own; `time` is what stood in front of the line.
pub(crate) fn peel<'a>(line: &'a str, time: Option<Moment>, wrapping: &Wrapping) -> Peeled<'a> {
    let mut peeled =
        Peeled { source: String::new(), time, partial: false, content: Content::Text(Cow::Borrowed("")) };
    let mut text = Cow::Borrowed(line);
    if let Some((line, time)) = wrapping.rows.as_ref().and_then(|rows| rows.read(&text)) {
        text = Cow::Owned(line);
        peeled.time = peeled.time.or(time);
    }
    let mut named_within = false;
    for wrappers in 0..=WRAPPERS {
        let mut rest: &str = &text;
        for _ in 0..PREFIXES {
            let stripped = strip(rest);
            if peeled.source.is_empty() {
                stripped.source.clone_into(&mut peeled.source);
            } else if wrappers > 0 && !stripped.source.is_empty() && !named_within {
                // A collector's record is of one process, and what it has read was kubectl's, of several pods.
                peeled.source = format!("{} {}", peeled.source, stripped.source);
                named_within = true;
            }
            peeled.time = peeled.time.or(stripped.time);
            peeled.partial |= stripped.partial;
            if stripped.text.len() == rest.len() {
                break;
            }
            rest = stripped.text;
        }
        let front = text.len() - rest.len();
        let found = if peeled.partial { None } else { json::read(rest, &wrapping.layout) };
        match found {
            Some(Json::Wrapped { line, time, source }) if wrappers < WRAPPERS => {
                if peeled.source.is_empty() {
                    peeled.source = source;
                }
                peeled.time = peeled.time.or(time);
                text = Cow::Owned(line);
            }
            Some(Json::Record(record)) => {
                if peeled.source.is_empty() {
                    peeled.source.clone_from(&record.source);
                }
                peeled.content = Content::Record(record);
                return peeled;
            }
            Some(Json::Wrapped { .. }) | None => {
                text = match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.get(front..).unwrap_or_default()),
                    Cow::Owned(mut text) => {
                        text.drain(..front);
                        Cow::Owned(text)
                    }
                };
                break;
            }
        }
    }
    peeled.content = Content::Text(text);
    peeled
}
