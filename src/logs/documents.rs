//! Records in JSON that do not stand on a line each: within a list of an answer, over several lines, or many on one line.

use super::lines::LineSplitter;
use super::scan::{Scanner, Step};

/// The longest record that is kept, in bytes.
const LONGEST: usize = 64 * 1024;

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum To {
    /// The field of an object.
    Key(String),
    /// Any element of an array.
    Each,
    /// The element of an array with this index.
    Index(usize),
}

/// A record, or a line that is in no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// The number of its first line, from 1.
    pub line: u64,
    /// Which list it is from, where a document has lists of lists: a stream of log lines.
    pub list: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Splits a stream of documents into records.
#[derive(Debug)]
pub(crate) struct Documents {
    /// The way from a document to its records: steps of `Key` and `Each`.
    path: Vec<To>,
    /// The step at which another list begins.
    list_step: Option<usize>,
    lines: LineSplitter,
    line: u64,
    list: u64,
    document: Option<Document>,
    at_line_start: bool,
}

/// The document that is being read.
#[derive(Debug)]
struct Document {
    scanner: Scanner,
    /// Of each open bracket, whether the way to it is the beginning of the path.
    on_path: Vec<bool>,
    /// Whether the key that was read last is the next step of the path.
    key_fits: bool,
    key: Option<Vec<u8>>,
    record: Option<Record>,
    /// All of it, for when it turns out to be no document.
    raw: Vec<u8>,
    first_line: u64,
    found: bool,
}

#[derive(Debug)]
struct Record {
    depth: usize,
    line: u64,
    bytes: Vec<u8>,
}

impl Documents {
    /// A splitter of documents whose records are at the end of this path.
    pub(crate) fn new(path: &[To]) -> Self {
        let each: Vec<usize> =
            path.iter().enumerate().filter(|(_, step)| **step == To::Each).map(|(at, _)| at).collect();
        let list_step = each.len().checked_sub(2).and_then(|at| each.get(at).copied());
        Self {
            path: path.to_vec(),
            list_step,
            lines: LineSplitter::default(),
            line: 0,
            list: 0,
            document: None,
            at_line_start: true,
        }
    }

    /// Takes the next bytes and hands every record to `each`.
    pub(crate) fn push(&mut self, chunk: &[u8], each: &mut impl FnMut(Item<'_>)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = if self.document.is_some() {
                self.inside(rest, each)
            } else if self.at_line_start {
                self.line_start(rest, each)
            } else {
                self.outside(rest, each)
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Hands over what has no end.
    pub(crate) fn finish(&mut self, each: &mut impl FnMut(Item<'_>)) {
        if let Some(document) = self.document.take() {
            match document.record {
                // What is left of a record that was cut.
                Some(record) => {
                    each(Item { line: record.line, list: self.list, bytes: &record.bytes });
                }
                None if !document.found => self.replay(&document, each),
                None => {}
            }
        }
        let (line, list) = (self.line, self.list);
        self.lines.finish(&mut |_, bytes| each(Item { line: line + 1, list, bytes }));
    }

    /// Blanks, or what a document begins with.
    fn line_start(&mut self, rest: &[u8], each: &mut impl FnMut(Item<'_>)) -> usize {
        // Commas and brackets are left of documents whose beginning is missing.
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b',');
        let blanks = rest.iter().take_while(|byte| blank(byte)).count();
        match rest.get(blanks) {
            None => rest.len(),
            Some(b'{' | b'[') => {
                self.document = Some(Document {
                    scanner: Scanner::default(),
                    on_path: Vec::new(),
                    key_fits: false,
                    key: None,
                    record: None,
                    raw: Vec::new(),
                    first_line: self.line + 1,
                    found: false,
                });
                blanks
            }
            Some(_) => {
                self.at_line_start = false;
                self.outside(rest, each)
            }
        }
    }

    /// A line in no document.
    fn outside(&mut self, rest: &[u8], each: &mut impl FnMut(Item<'_>)) -> usize {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (list, line) = (self.list, self.line + 1);
        let part = rest.get(..end).unwrap_or_default();
        self.lines.push(part, &mut |_, bytes| each(Item { line, list, bytes }));
        if part.ends_with(b"\n") {
            self.line += 1;
            self.at_line_start = true;
        }
        end
    }

    /// The bytes of a document, up to its end.
    fn inside(&mut self, rest: &[u8], each: &mut impl FnMut(Item<'_>)) -> usize {
        let Some(mut document) = self.document.take() else {
            return 0;
        };
        let mut at = 0;
        while let Some(byte) = rest.get(at).copied() {
            let idle = document.scanner.idle(rest.get(at..).unwrap_or_default());
            if idle > 0 {
                document.keep(rest.get(at..at + idle).unwrap_or_default());
                at += idle;
                continue;
            }
            let Ok(step) = document.scanner.step(byte) else {
                if !document.found {
                    self.replay(&document, each);
                }
                // What comes in its place is a line of its own.
                self.at_line_start = document.raw.last().is_none_or(|last| *last == b'\n');
                return at;
            };
            if step == Step::EndBefore {
                self.step(&mut document, step, each);
                continue;
            }
            if byte == b'\n' {
                self.line += 1;
            }
            if matches!(step, Step::Begin | Step::Open) {
                self.step(&mut document, step, each);
                document.keep(&[byte]);
            } else {
                document.keep(&[byte]);
                self.step(&mut document, step, each);
            }
            at += 1;
            if document.scanner.is_done() {
                if !document.found {
                    let raw = document.raw.trim_ascii();
                    each(Item { line: document.first_line, list: self.list, bytes: raw });
                }
                // The rest of its line: mostly nothing.
                self.after_document(rest, &mut at);
                return at;
            }
        }
        self.document = Some(document);
        at
    }

    fn after_document(&mut self, rest: &[u8], at: &mut usize) {
        self.at_line_start = true;
        while let Some(b' ' | b'\t' | b'\r' | b',' | b'\n') = rest.get(*at) {
            if rest.get(*at) == Some(&b'\n') {
                self.line += 1;
            }
            *at += 1;
        }
    }

    fn step(&mut self, document: &mut Document, step: Step, each: &mut impl FnMut(Item<'_>)) {
        match step {
            Step::Begin | Step::Open => {
                // `Open` has counted the bracket already.
                let depth = document.scanner.depth() - usize::from(step == Step::Open);
                let fits = document.fits(depth, &self.path);
                if fits && depth > 0 && Some(depth - 1) == self.list_step {
                    self.list += 1;
                }
                if fits && depth == self.path.len() && document.record.is_none() {
                    document.record = Some(Record { depth, line: self.line + 1, bytes: Vec::new() });
                }
                if step == Step::Open {
                    document.on_path.push(fits);
                }
            }
            Step::KeyBegin => document.key = Some(Vec::new()),
            Step::KeyEnd => {
                let key = document.key.take().unwrap_or_default();
                let key = key.strip_suffix(b"\"").unwrap_or(&key);
                let next = self.path.get(document.scanner.depth().saturating_sub(1));
                document.key_fits = matches!(next, Some(To::Key(name)) if name.as_bytes() == key);
            }
            Step::End | Step::EndBefore => {
                document.on_path.truncate(document.scanner.depth());
                let ended = document.record.as_ref().is_some_and(|it| it.depth == document.scanner.depth());
                if ended && let Some(record) = document.record.take() {
                    document.found = true;
                    document.raw.clear();
                    each(Item { line: record.line, list: self.list, bytes: &record.bytes });
                }
            }
            Step::Inside => {}
        }
    }

    /// What looked like a document is lines.
    fn replay(&mut self, document: &Document, each: &mut impl FnMut(Item<'_>)) {
        let list = self.list;
        let parts = document.raw.split_inclusive(|byte| *byte == b'\n');
        for (line, part) in (document.first_line..).zip(parts) {
            self.lines.push(part, &mut |_, bytes| each(Item { line, list, bytes }));
        }
    }
}

impl Document {
    /// Whether the way to a value that begins at this depth is the beginning of the path.
    fn fits(&self, depth: usize, path: &[To]) -> bool {
        let Some(above) = depth.checked_sub(1) else {
            return true;
        };
        let on_path = self.on_path.get(above).copied().unwrap_or_default();
        on_path
            && match path.get(above) {
                Some(To::Each) => self.on_path.len() == depth && self.is_array(depth),
                Some(To::Key(_)) => self.key_fits && !self.is_array(depth),
                _ => false,
            }
    }

    fn is_array(&self, depth: usize) -> bool {
        self.scanner.is_array(depth)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = |kept: &Vec<u8>| LONGEST.saturating_sub(kept.len()).min(bytes.len());
        if let Some(key) = &mut self.key {
            key.extend_from_slice(bytes.get(..room(key)).unwrap_or_default());
        }
        if let Some(record) = &mut self.record {
            let bytes = bytes.get(..room(&record.bytes)).unwrap_or_default();
            record.bytes.extend_from_slice(bytes);
        }
        if !self.found {
            let bytes = bytes.get(..room(&self.raw)).unwrap_or_default();
            self.raw.extend_from_slice(bytes);
        }
    }
}
