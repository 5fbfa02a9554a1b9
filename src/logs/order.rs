//! Logs that begin with their newest line, as Grafana, Kibana and `gcloud logging read` hand them out unless told
//! otherwise. What a failure led to, and whether it was overcome, is read in the order of time.

use std::collections::BTreeMap;

use super::peel::{Content, Peeled};
use super::time::Moment;

/// How many times a line has to be older than the one before it. Processes that write at the same time, or two runs in
/// one file, do so now and then.
const STEPS: usize = 4;

/// Whether the lines at the beginning of a log run backwards.
#[derive(Debug, Default)]
pub(crate) struct Order {
    older: usize,
    newer: usize,
    last: Option<Moment>,
    /// Tracebacks whose first line stands above the next, and below it.
    upright: usize,
    reversed: usize,
    /// By process: the lines of several come in between each other.
    above: BTreeMap<String, Above>,
}

/// What the line before was to a traceback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Above {
    #[default]
    Other,
    /// Its first line, and whether that stands below a frame.
    Head { below_frame: bool },
    /// A file of it.
    Frame,
    /// The code in that file, or marks under it.
    Code,
}

impl Order {
    /// Takes the next line, as it stands and without wrappers.
    pub(crate) fn note(&mut self, line: &str, peeled: &Peeled<'_>) {
        let written = match &peeled.content {
            Content::Record(record) => record.time,
            Content::Text(_) => None,
        };
        if let Some(now) = peeled.time.or(written).or_else(|| stamp(line)) {
            match self.last {
                Some(last) if now < last => self.older += 1,
                Some(last) if now > last => self.newer += 1,
                _ => {}
            }
            self.last = Some(now);
        }
        if let Content::Text(text) = &peeled.content {
            self.traceback(&peeled.source, text);
        }
    }

    fn traceback(&mut self, source: &str, text: &str) {
        let above = self.above.get(source).copied().unwrap_or_default();
        let frame = text.starts_with("  File \"");
        if let Above::Head { below_frame } = above {
            self.upright += usize::from(frame);
            self.reversed += usize::from(below_frame && !frame);
        }
        let now = if text.trim_end().ends_with("Traceback (most recent call last):") {
            Above::Head { below_frame: matches!(above, Above::Frame | Above::Code) }
        } else if frame {
            Above::Frame
        } else if text.starts_with("    ") {
            // Python marks a part of the code that stands below its file.
            let marks = is_marks(text);
            self.reversed += usize::from(marks && above == Above::Frame);
            Above::Code
        } else {
            Above::Other
        };
        self.above.insert(source.to_owned(), now);
    }

    /// Whether it begins with its newest line. The records of a document are always in one order.
    pub(crate) fn is_newest_first(&self, document: bool) -> bool {
        let steps = if document { 1 } else { STEPS };
        let by_time = self.older >= steps && self.older >= 8 * self.newer;
        let head_last = self.above.values().any(|above| *above == Above::Head { below_frame: true });
        let by_tracebacks = self.upright == 0 && (self.reversed > 0 || head_last);
        by_time || by_tracebacks && self.newer == 0
    }
}

/// Whether a line has nothing but the marks of a traceback: `    ~~~^^^`.
fn is_marks(text: &str) -> bool {
    text.contains('^') && text.trim().bytes().all(|byte| matches!(byte, b'^' | b'~'))
}

/// The first stamp of a line, wherever it is.
fn stamp(line: &str) -> Option<Moment> {
    let line = super::event::clip(line, 1024);
    // `-` is the fifth sign of every stamp that has a date in front.
    line.match_indices('-').find_map(|(at, _)| {
        let start = at.checked_sub(4)?;
        Moment::read(line.get(start..)?).map(|(moment, _)| moment)
    })
}
