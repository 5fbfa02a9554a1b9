//! One place in a log, as evidence.

use crate::logs::description::Line;
use crate::logs::event::{Event, clip};
use crate::logs::time::Moment;
use crate::model::redact::redact;

/// The longest excerpt of a log that is shown, in bytes.
const EXCERPT: usize = 300;

/// One place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLocation {
    /// The file's number in the investigation, from 0.
    pub input: u16,
    /// The line, from 1.
    pub line: u64,
    /// When, where the log says so.
    pub time: Option<Moment>,
    /// The class of the exception in that place; empty for other lines.
    pub class: String,
    /// The text in that place, as it is: not to be shown before [`LogLocation::excerpt`] has redacted it.
    pub message: String,
}

impl LogLocation {
    /// Where an event says something.
    pub(crate) fn of(event: &Event, input: u16) -> Self {
        Self {
            input,
            line: event.line,
            time: event.time,
            class: String::new(),
            message: event.message.clone(),
        }
    }

    /// A line of a description of objects.
    pub(crate) fn described(line: &Line, input: u16) -> Self {
        Self { input, line: line.number, time: None, class: String::new(), message: line.text.clone() }
    }

    /// The text in that place, redacted and short.
    pub(crate) fn excerpt(&self) -> String {
        excerpt(&self.class, &self.message)
    }
}

/// An excerpt of a log, redacted and short.
fn excerpt(class: &str, message: &str) -> String {
    let telling = |line: &&str| line.bytes().any(|byte| byte.is_ascii_alphanumeric() || byte >= 0x80);
    let line = message.lines().map(str::trim).filter(telling).collect::<Vec<_>>().join(" / ");
    let text = match (class, line.as_str()) {
        ("", line) => line.to_owned(),
        (class, "") => class.to_owned(),
        (class, line) => format!("{class}: {line}"),
    };
    let redacted = redact(&text);
    let short = clip(&redacted, EXCERPT);
    if short.len() < redacted.len() { format!("{short}…") } else { redacted }
}
