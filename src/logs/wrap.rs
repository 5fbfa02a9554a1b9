//! Lines that a terminal, a mail or `fold` has broken at its right edge.

use std::collections::BTreeSet;

use super::beginning::begins;

/// The narrowest edge: nobody reads logs in less.
const NARROWEST: usize = 40;
/// How many different lines reach the edge at least: the longest line of a log comes again too, but it is the same.
const REACHING: usize = 2;
/// The longest line that is put together, in bytes.
const LONGEST: usize = 64 * 1024;

/// The edge at which lines were broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrap {
    /// In characters.
    edge: usize,
    /// Whether blanks at the ends of lines are missing.
    trimmed: bool,
}

impl Wrap {
    /// Finds the edge; `trimmed` where blanks at the ends of lines have been taken off.
    pub(crate) fn learn(lines: &[&str], trimmed: bool) -> Option<Self> {
        // A line of nothing but signs is drawn: the upper side of a box.
        let written = lines.iter().filter(|line| line.chars().any(char::is_alphanumeric));
        let edge = written.map(|line| width(line)).max().filter(|edge| *edge >= NARROWEST)?;
        let wrap = Self { edge, trimmed };
        let (mut broken, mut whole) = (BTreeSet::new(), 0);
        for pair in lines.windows(2) {
            let [line, next] = pair else { continue };
            if wrap.goes_on(line, next) {
                broken.insert(shape(line));
            } else if width(line) == edge {
                whole += 1;
            }
        }
        (broken.len() >= REACHING && broken.len() * 2 > whole).then_some(wrap)
    }

    /// Whether the next line is the rest of this one.
    pub(crate) fn goes_on(&self, line: &str, next: &str) -> bool {
        let width = width(line);
        if next.is_empty() || begins(next) {
            return false;
        }
        // A traceback's lines are indented; within a line there are no blanks but between words.
        let indented = next.starts_with("  ") && !line.ends_with(' ');
        // `fold -s` breaks behind the last blank that has room; what follows would not have fitted.
        let word = next.split(' ').next().unwrap_or_default();
        width == self.edge && !indented
            || self.trimmed && width + 1 == self.edge && !next.starts_with(' ')
            || line.ends_with(' ') && !next.starts_with(' ') && width + self::width(word) >= self.edge
    }

    /// Adds the rest of a line to it.
    pub(crate) fn join(&self, line: &mut String, last: usize, rest: &str) {
        if self.trimmed && last < self.edge {
            line.push(' ');
        }
        if line.len() + rest.len() <= LONGEST {
            line.push_str(rest);
        }
    }
}

/// How many columns a line takes.
pub(crate) fn width(line: &str) -> usize {
    if line.is_ascii() { line.len() } else { line.chars().count() }
}

/// A line without its numbers: the same line at another time is the same.
fn shape(line: &str) -> String {
    line.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(lines: &[&str]) -> Vec<String> {
        let wrap = Wrap::learn(lines, false).unwrap();
        let mut joined: Vec<String> = Vec::new();
        let mut before = "";
        for line in lines {
            match joined.last_mut() {
                Some(last) if wrap.goes_on(before, line) => wrap.join(last, width(before), line),
                _ => joined.push((*line).to_owned()),
            }
            before = line;
        }
        joined
    }

    const LINES: [&str; 3] = [
        "2026-11-22T15:40:56.927275Z [error    ] Internal Server Error: /api/v1/flags/ [django.request] status_code=500",
        "Traceback (most recent call last):",
        "  File \"/build/.venv/lib/python3.11/site-packages/django/core/handlers/exception.py\", line 55, in inner",
    ];

    #[test]
    fn pieces_are_put_together() {
        let pieces: Vec<&str> = LINES
            .iter()
            .flat_map(|line| {
                let mut pieces = Vec::new();
                let mut rest = *line;
                while let Some((piece, after)) = rest.split_at_checked(60) {
                    pieces.push(piece);
                    rest = after;
                }
                pieces.push(rest);
                pieces
            })
            .collect();
        assert_eq!(join(&pieces), LINES);
    }

    #[test]
    fn a_line_that_comes_again_is_no_edge() {
        let lines = [
            "  File \"/app/organisations/views.py\", line 12, in create",
            "    return x",
            "  File \"/app/organisations/views.py\", line 34, in create",
            "    return y",
        ];
        assert_eq!(Wrap::learn(&lines, false), None);
    }
}
