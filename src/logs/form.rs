//! In which form a log is: found by the structure of its beginning, whatever product wrote it.

use std::io::{self, BufRead};

use encoding_rs::Encoding;
use serde_json::Value;

use super::clean::clean;
use super::csv::Rows;
use super::description::is_description;
use super::documents::{Documents, Item};
use super::encoding::{Letters, wide};
use super::frame::Frame;
use super::layer::{Layer, Line, Peeler, is_html, is_spaced};
use super::leaves::{Layout, learn};
use super::lines::{Ahead, LineSplitter};
use super::order::Order;
use super::peel::{Content, Wrapping, peel};
use super::scan::beginning;
use super::wrap::Wrap;

/// How much of the beginning of a log is looked at, in bytes.
pub(crate) const LOOK: u64 = 128 * 1024;
/// The most documents and lines that are looked at: a few dozen tell.
const TELLING: usize = 400;
/// The most layers: a terminal shows a file in a box, of which a mail makes a quotation.
const LAYERS: usize = 6;

/// The form of a log.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Form {
    encoding: Option<&'static Encoding>,
    /// Whether records in JSON do not stand on a line each.
    documents: bool,
    /// Whether many of them stand on one line, so that they are counted and not the lines.
    pub counts_records: bool,
    layers: Vec<Layer>,
    /// What each line is wrapped in.
    pub wrapping: Wrapping,
    /// Whether it begins with its newest line.
    pub newest_first: bool,
    /// Whether it is, or begins with, a description of objects of Kubernetes.
    pub describes: bool,
}

/// A line of a log as it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    /// Its number, from 1; or that of the record.
    pub number: u64,
    /// The list of a document that it is from, or the words in front of it that say whose it is.
    pub source: &'a str,
    /// A time in front of it.
    pub time: Option<super::time::Moment>,
    /// The line.
    pub bytes: &'a [u8],
    /// Whether it has a word of interest, where that is known.
    pub tells: Option<bool>,
}

/// What takes the lines of a log.
pub(crate) trait Lines {
    /// What is known of these bytes, which begin with a line; `None` where it wants to see every line.
    fn look_ahead(&self, _bytes: &[u8]) -> Option<Ahead> {
        None
    }

    /// Takes the next line.
    fn line(&mut self, raw: Raw<'_>);
}

impl<F: FnMut(Raw<'_>)> Lines for F {
    fn line(&mut self, raw: Raw<'_>) {
        self(raw);
    }
}

impl Form {
    /// Finds the form of a log by its beginning.
    pub(crate) fn of(start: &[u8]) -> Self {
        let encoding = wide(start);
        let text = Letters::of(encoding).narrow(start).to_vec();
        let mut form = Self { encoding, ..Self::default() };
        form.find_documents(&text);
        let whole = u64::try_from(start.len()).is_ok_and(|length| length < LOOK);
        let mut lines = form.sample(&text, whole);
        if !form.documents && form.wrapping.layout == Layout::default() {
            form.find_layers(&mut lines);
        }
        form.describes = is_description(lines.iter().take(TELLING).map(|line| line.text.as_str()));
        form.find_wrapped_twice(&lines);
        let mut order = Order::default();
        for line in &lines {
            let peeled = peel(&line.text, line.time, &form.wrapping);
            order.note(&line.text, &peeled);
        }
        form.newest_first = order.is_newest_first(form.documents);
        form
    }

    fn find_documents(&mut self, text: &[u8]) {
        let (documents, broken) = documents(text);
        // Texts in quotation marks that are none in JSON are cells of a table.
        if broken > 0 && documents.iter().all(|it| it.value.is_string()) {
            return;
        }
        let over_lines = documents.iter().any(|it| it.lines > 1);
        // Where a line broken between two words of a document is still one, a line broken within a text is none.
        if over_lines && broken > 0 && is_wrapped(text) {
            return;
        }
        let lines: usize = documents.iter().map(|it| it.lines).sum();
        let bytes: usize = documents.iter().map(|it| it.bytes).sum();
        let written =
            text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(TELLING);
        let few = lines * 2 < written.count();
        let values: Vec<Value> = documents.into_iter().map(|it| it.value).collect();
        let Some(layout) = learn(&values, over_lines) else {
            return;
        };
        // Some lines in JSON between those of a process are its own; one that lists records may be all that there is
        // between those of others.
        let lists = !layout.records.is_empty() && bytes * 2 >= text.len();
        if few && !lists {
            return;
        }
        self.documents = over_lines || !layout.records.is_empty();
        self.wrapping.layout = layout;
    }

    /// The lines at the beginning of a log, without the last one where it is cut.
    fn sample(&mut self, text: &[u8], whole: bool) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut starts = Vec::new();
        if self.documents {
            let mut documents = Documents::new(&self.wrapping.layout.records);
            documents.push(text, &mut |item: Item<'_>| {
                starts.push(item.line);
                lines.push(Line {
                    number: item.line,
                    text: clean(item.bytes).into_owned(),
                    ..Line::default()
                });
            });
            self.counts_records = starts.windows(2).any(|pair| pair.first() == pair.last());
        } else {
            let mut each = |number, bytes: &[u8]| {
                lines.push(Line { number, text: clean(bytes).into_owned(), ..Line::default() });
            };
            let mut splitter = LineSplitter::default();
            splitter.push(text, &mut each);
            if whole {
                splitter.finish(&mut each);
            }
        }
        lines
    }

    fn find_layers(&mut self, lines: &mut Vec<Line>) {
        for _ in 0..LAYERS {
            let texts: Vec<&str> = lines.iter().take(TELLING).map(|line| line.text.as_str()).collect();
            let closed = self.layers.iter().any(|it| matches!(it, Layer::Framed(frame) if frame.is_closed()));
            let wrapped = || {
                let again = self.layers.iter().any(|layer| matches!(layer, Layer::Wrapped(_)));
                Wrap::learn(&texts, closed).filter(|_| !again)
            };
            let layer = if is_html(&texts) {
                Layer::Html
            } else if is_spaced(&texts) {
                Layer::Spaced
            } else if let Some(rows) = Rows::learn(&texts) {
                self.wrapping.rows = Some(rows);
                Layer::Quoted
            } else if let Some(frame) = Frame::learn(&texts) {
                Layer::Framed(frame)
            } else if let Some(wrap) = wrapped() {
                Layer::Wrapped(wrap)
            } else {
                break;
            };
            *lines = peeled(&layer, std::mem::take(lines));
            self.layers.push(layer);
            if self.wrapping.rows.is_some() {
                break;
            }
        }
    }

    /// Learns what is in the lines that have been found: a container runtime's JSON in a table, for example.
    fn find_wrapped_twice(&mut self, lines: &[Line]) {
        let inner: Vec<Value> = lines
            .iter()
            .take(TELLING)
            .filter_map(|line| match peel(&line.text, None, &self.wrapping).content {
                Content::Text(text) if text.starts_with(['{', '[', '"']) => serde_json::from_str(&text).ok(),
                _ => None,
            })
            .collect();
        if inner.len() * 2 < lines.len().min(TELLING) {
            return;
        }
        if let Some(layout) = learn(&inner, false)
            && layout.records.is_empty()
        {
            self.wrapping.layout.add(layout);
        }
    }

    /// Reads a whole log in this form, line by line.
    pub(crate) fn read(&self, mut log: impl BufRead, to: &mut impl Lines) -> io::Result<()> {
        let mut letters = Letters::of(self.encoding);
        let mut splitter = self.splitter();
        loop {
            let chunk = match log.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let read = chunk.len();
            splitter.push(letters.narrow(chunk), to);
            log.consume(read);
        }
        splitter.finish(to);
        Ok(())
    }

    fn splitter(&self) -> Splitter {
        if self.documents {
            Splitter::Documents {
                documents: Box::new(Documents::new(&self.wrapping.layout.records)),
                counts: self.counts_records,
                count: 0,
            }
        } else if self.layers.is_empty() {
            Splitter::Lines(LineSplitter::default())
        } else {
            Splitter::Layers(LineSplitter::default(), Peeler::new(&self.layers))
        }
    }
}

/// What makes lines of the bytes of a log.
enum Splitter {
    Lines(LineSplitter),
    Documents { documents: Box<Documents>, counts: bool, count: u64 },
    Layers(LineSplitter, Peeler),
}

impl Splitter {
    fn push<T: Lines>(&mut self, chunk: &[u8], to: &mut T) {
        match self {
            Self::Lines(lines) => {
                lines.push_to(chunk, to, T::look_ahead, |to, number, bytes, tells| {
                    to.line(Raw { tells, ..plain(number, bytes) });
                });
            }
            Self::Documents { documents, counts, count } => {
                documents.push(chunk, &mut |item| record(item, *counts, count, to));
            }
            Self::Layers(lines, peeler) => lines.push(chunk, &mut |number, bytes| {
                let text = clean(bytes).into_owned();
                peeler.push(Line { number, text, ..Line::default() }, &mut |line| to.line(raw(&line)));
            }),
        }
    }

    fn finish(&mut self, to: &mut impl Lines) {
        match self {
            Self::Lines(lines) => lines.finish(&mut |number, bytes| to.line(plain(number, bytes))),
            Self::Documents { documents, counts, count } => {
                documents.finish(&mut |item| record(item, *counts, count, to));
            }
            Self::Layers(lines, peeler) => {
                lines.finish(&mut |number, bytes| {
                    let text = clean(bytes).into_owned();
                    peeler.push(Line { number, text, ..Line::default() }, &mut |line| to.line(raw(&line)));
                });
                peeler.finish(&mut |line| to.line(raw(&line)));
            }
        }
    }
}

const fn plain(number: u64, bytes: &[u8]) -> Raw<'_> {
    Raw { number, source: "", time: None, bytes, tells: None }
}

const fn raw(line: &Line) -> Raw<'_> {
    Raw {
        number: line.number,
        source: line.source.as_str(),
        time: line.time,
        bytes: line.text.as_bytes(),
        tells: None,
    }
}

fn record(item: Item<'_>, counts: bool, count: &mut u64, to: &mut impl Lines) {
    *count += 1;
    let source = if item.list > 0 { item.list.to_string() } else { String::new() };
    let number = if counts { *count } else { item.line };
    to.line(Raw { number, source: &source, time: None, bytes: item.bytes, tells: None });
}

/// A document as it stands in a text.
struct Found {
    value: Value,
    /// Over how many lines it goes.
    lines: usize,
    bytes: usize,
}

/// The documents at the beginning of a text. Also how many lines look like the beginning of one and are not.
fn documents(text: &[u8]) -> (Vec<Found>, usize) {
    let mut documents = Vec::new();
    let mut broken = 0;
    let mut rest = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut lines = 0;
    while !rest.is_empty() && documents.len() < TELLING && lines < TELLING {
        lines += 1;
        let line = rest.trim_ascii_start();
        let found = line.first().filter(|first| matches!(first, b'{' | b'[' | b'"'));
        if let Some((whole, length)) = found.and_then(|_| beginning(line)) {
            let taken = line.get(..length).unwrap_or_default();
            let over = memchr::memchr_iter(b'\n', taken).count() + 1;
            let after = line.get(length..).unwrap_or_default();
            let end = memchr::memchr(b'\n', after).unwrap_or(after.len());
            let alone = after.get(..end).unwrap_or_default().trim_ascii().iter().all(|byte| *byte == b',');
            if alone && let Ok(value) = serde_json::from_slice(&whole) {
                documents.push(Found { value, lines: over, bytes: length });
                rest = after.get(end + 1..).unwrap_or_default();
                continue;
            }
        }
        broken += usize::from(found.is_some());
        let end = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        rest = line.get(end..).unwrap_or_default();
    }
    (documents, broken)
}

/// Whether lines were broken at their right edge.
fn is_wrapped(text: &[u8]) -> bool {
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').take(TELLING).map(clean).collect();
    Wrap::learn(&lines.iter().map(AsRef::as_ref).collect::<Vec<_>>(), false).is_some()
}

/// The lines without one more layer.
fn peeled(layer: &Layer, lines: Vec<Line>) -> Vec<Line> {
    let mut peeler = Peeler::new(std::slice::from_ref(layer));
    let mut whole = Vec::with_capacity(lines.len());
    for line in lines {
        peeler.push(line, &mut |line| whole.push(line));
    }
    peeler.finish(&mut |line| whole.push(line));
    whole
}

#[cfg(test)]
mod tests {
    use super::{Form, Raw};
    use rstest::rstest;

    fn log(seconds: &[u32]) -> String {
        let line = |second: &u32| {
            format!("{{\"timestamp\": \"2026-11-22T16:00:{second:02}Z\", \"message\": \"x\"}}\n")
        };
        seconds.iter().map(line).collect::<Vec<_>>().concat()
    }

    #[rstest]
    #[case::backwards(&[9, 8, 8, 7, 3, 1], true)]
    #[case::forwards(&[1, 2, 3, 4, 5, 6], false)]
    #[case::two_pods_one_after_the_other(&[1, 2, 3, 4, 1, 2, 3, 4], false)]
    #[case::processes_at_once(&[1, 3, 2, 4, 3, 5, 4, 6, 5, 7, 6], false)]
    #[case::too_short(&[3, 2, 1], false)]
    fn order_of_stamps(#[case] seconds: &[u32], #[case] expected: bool) {
        assert_eq!(Form::of(log(seconds).as_bytes()).newest_first, expected);
    }

    /// The pieces of a document begin with quotation marks as cells do, and some documents are whole although folded.
    #[test]
    fn documents_that_were_folded_are_lines() {
        let pieces = [
            "{\"timestamp\": \"2026-11-23T01:31:52.496380Z\", \"message\": \"Invoking Django\", \"levelname\": \"INFO\", ",
            "\"logger_name\": \"common.core.main\", \"pid\": 10442, \"thread_name\": \"MainThread\"}",
            "{\"timestamp\": \"2026-11-23T01:31:53.910376Z\", \"message\": \"Worker (pid:10449) was sent SIGKILL! ",
            "Perhaps out of memory?\", \"levelname\": \"ERROR\", \"logger_name\": \"gunicorn.error\", \"pid\": 10442, ",
            "\"thread_name\": \"MainThread\"}",
        ];
        let log = pieces.join("\n");
        let mut lines = Vec::new();
        let form = Form::of(log.as_bytes());
        let mut each = |raw: Raw<'_>| lines.push(String::from_utf8_lossy(raw.bytes).into_owned());
        form.read(log.as_bytes(), &mut each).unwrap();
        assert_eq!(lines, [pieces[..2].concat(), pieces[2..].concat()], "{form:?}");
    }

    /// An answer of a log store on one line, with what somebody pasted around it.
    #[test]
    fn a_list_of_records_between_lines_of_others() {
        let record = |second: u32| {
            format!(
                r#"{{"_source":{{"@timestamp":"2026-11-22T16:00:{second:02}Z","message":"line {second}"}}}}"#
            )
        };
        let hits: Vec<String> = (0..20).map(record).collect();
        let answer = format!(r#"{{"took":5,"hits":{{"hits":[{}]}}}}"#, hits.join(","));
        let text = format!("of a shell\n{answer}\nof another\nand one more\n");
        let form = Form::of(text.as_bytes());
        let mut records = 0;
        form.read(text.as_bytes(), &mut |_: Raw<'_>| records += 1).unwrap();
        assert_eq!(records, 23, "{form:?}");
        // A process whose few records are among its lines.
        let own = format!("{}\n{}", "Booting worker with pid: 7\n".repeat(9), log(&[1]));
        assert!(!Form::of(own.as_bytes()).documents);
    }

    const TRACEBACK: [&str; 4] = [
        "Traceback (most recent call last):",
        "  File \"/app/x.py\", line 1, in f",
        "    return x",
        "ValueError: no",
    ];

    #[test]
    fn order_of_a_traceback() {
        let mut lines = TRACEBACK.to_vec();
        assert!(!Form::of(lines.join("\n").as_bytes()).newest_first);
        lines.reverse();
        assert!(Form::of(lines.join("\n").as_bytes()).newest_first);
    }
}
