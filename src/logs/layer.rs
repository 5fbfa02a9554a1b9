//! What is taken off lines before they are read as lines of a log: columns, edges, spacing, escapes.

use super::csv;
use super::frame::Frame;
use super::time::Moment;
use super::wrap::{Wrap, width};

/// One thing that a product, an editor or a terminal has done to every line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Signs are written as HTML writes them.
    Html,
    /// A blank line behind each.
    Spaced,
    /// A column in front of each.
    Framed(Frame),
    /// Broken at an edge.
    Wrapped(Wrap),
    /// Fields in quotation marks go over several lines.
    Quoted,
}

/// A line of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Whose it is, where something in front of it says so.
    pub source: String,
    /// When it was written, where something in front of it says so.
    pub time: Option<Moment>,
    /// The line.
    pub text: String,
}

/// Takes layers off the lines of a log.
#[derive(Debug)]
pub(crate) struct Peeler {
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    layer: Layer,
    /// A line that may go on, and the width of its last piece.
    pending: Option<Line>,
    piece: String,
    /// Whether a blank line is none of the log's.
    skips: bool,
}

impl Peeler {
    /// Takes off these layers, the outermost first.
    pub(crate) fn new(layers: &[Layer]) -> Self {
        let stage =
            |layer: &Layer| Stage { layer: layer.clone(), pending: None, piece: String::new(), skips: false };
        Self { stages: layers.iter().map(stage).collect() }
    }

    /// Takes the next line and hands over what is whole.
    pub(crate) fn push(&mut self, line: Line, each: &mut dyn FnMut(Line)) {
        pass(&mut self.stages, line, each);
    }

    /// Hands over lines that could have gone on.
    pub(crate) fn finish(&mut self, each: &mut dyn FnMut(Line)) {
        let mut stages = self.stages.as_mut_slice();
        while let Some((stage, rest)) = stages.split_first_mut() {
            if let Some(line) = stage.pending.take() {
                pass(rest, line, each);
            }
            stages = rest;
        }
    }
}

fn pass(stages: &mut [Stage], mut line: Line, each: &mut dyn FnMut(Line)) {
    let Some((stage, rest)) = stages.split_first_mut() else {
        return each(line);
    };
    match &stage.layer {
        Layer::Html => {
            line.text = unescape(&line.text);
            pass(rest, line, each);
        }
        Layer::Spaced => {
            let blank = line.text.trim().is_empty();
            if blank && stage.skips {
                stage.skips = false;
            } else {
                stage.skips = true;
                pass(rest, line, each);
            }
        }
        Layer::Framed(frame) => {
            if let Some(framed) = frame.strip(&line.text) {
                let (source, time, text) = (framed.source, framed.time, framed.text.to_owned());
                line = Line { number: line.number, source, time: line.time.or(time), text };
            }
            pass(rest, line, each);
        }
        Layer::Wrapped(wrap) => {
            if let Some(pending) = &mut stage.pending
                && (wrap.goes_on(&stage.piece, &line.text) || is_within(&pending.text, &line.text))
            {
                wrap.join(&mut pending.text, width(&stage.piece), &line.text);
                stage.piece = line.text;
                return;
            }
            stage.piece.clone_from(&line.text);
            if let Some(whole) = stage.pending.replace(line) {
                pass(rest, whole, each);
            }
        }
        Layer::Quoted => {
            let mut row = stage.pending.take().unwrap_or(Line { text: String::new(), ..line.clone() });
            if csv::append(&mut row.text, &line.text) {
                pass(rest, row, each);
            } else {
                stage.pending = Some(row);
            }
        }
    }
}

/// Whether a document that begins a line goes on in the next one: in its texts are blanks and whatever else lines begin
/// with.
fn is_within(document: &str, next: &str) -> bool {
    document.starts_with("{\"") && !document.trim_end().ends_with('}') && !next.starts_with("{\"")
}

/// The signs that HTML cannot have in a text, as `html.escape` of Python and Go's `html` write them.
const ENTITIES: [(&str, char); 9] = [
    ("&quot;", '"'),
    ("&#34;", '"'),
    ("&#x27;", '\''),
    ("&#39;", '\''),
    ("&apos;", '\''),
    ("&lt;", '<'),
    ("&gt;", '>'),
    ("&amp;", '&'),
    ("&nbsp;", ' '),
];

/// A text without HTML's escapes.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let from = rest.get(before.len()..).unwrap_or_default();
        let found = ENTITIES.iter().find_map(|(entity, sign)| Some((from.strip_prefix(entity)?, *sign)));
        rest = if let Some((behind, sign)) = found {
            plain.push(sign);
            behind
        } else {
            plain.push('&');
            after
        };
    }
    plain.push_str(rest);
    plain
}

/// Whether the lines are escaped for HTML: what has to be escaped there never stands for itself.
pub(crate) fn is_html(lines: &[&str]) -> bool {
    let has = |texts: &[&str]| lines.iter().any(|line| texts.iter().any(|text| line.contains(text)));
    has(&["&quot;", "&lt;", "&gt;", "&#x27;", "&#39;", "&#34;"]) && !has(&["<", ">"])
}

/// Whether a blank line follows each line.
pub(crate) fn is_spaced(lines: &[&str]) -> bool {
    let written = |line: &&str| !line.trim().is_empty();
    let adjacent = lines.windows(2).filter(|pair| pair.iter().all(written)).count();
    adjacent == 0 && lines.iter().filter(|line| written(line)).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("File &quot;/app/x.py&quot;, in &lt;module&gt;", "File \"/app/x.py\", in <module>")]
    #[case("a &amp;&amp; b &amp;lt; &unknown; &", "a && b &lt; &unknown; &")]
    fn entities_are_signs(#[case] text: &str, #[case] plain: &str) {
        assert_eq!(unescape(text), plain);
    }

    fn peeled(layers: &[Layer], text: &str) -> Vec<String> {
        let mut peeler = Peeler::new(layers);
        let mut lines = Vec::new();
        let mut each = |line: Line| lines.push(line.text);
        for (number, text) in (1..).zip(text.lines()) {
            peeler.push(Line { number, text: text.to_owned(), ..Line::default() }, &mut each);
        }
        peeler.finish(&mut each);
        lines
    }

    #[test]
    fn blank_lines_of_the_log_stay() {
        assert_eq!(peeled(&[Layer::Spaced], "a\n\nb\n\n\n\nc\n"), ["a", "b", "", "c"]);
    }

    /// Within a text of a document are blanks in a row, and words that lines begin with.
    #[test]
    fn a_document_goes_on() {
        let long = |text: &str| format!("{{\"message\": \"{text}\", \"traceback\": \"x\\n");
        let (one, two) = (long(&"a".repeat(40)), long(&"b".repeat(40)));
        let wrap = Wrap::learn(&[&one, "rest of one\"}", &two, "rest of two\"}"], false).unwrap();
        let text = format!("{one}\n  File 1\"}}\n{two}\n  File 2\"}}\n{{\"message\": 3}}\n");
        assert_eq!(
            peeled(&[Layer::Wrapped(wrap)], &text),
            [format!("{one}  File 1\"}}"), format!("{two}  File 2\"}}"), "{\"message\": 3}".to_owned()]
        );
    }

    #[test]
    fn rows_over_lines_are_put_together() {
        assert_eq!(peeled(&[Layer::Quoted], "1,\"a\nb\"\n2,\"c\"\n"), ["1,\"a\nb\"", "2,\"c\""]);
    }
}
