//! JSON objects over several lines, as `aws logs`, `gcloud logging read`, `az` and `jq` print them.

/// The longest object that is put together, in bytes.
const LONGEST: usize = 64 * 1024;

/// The longest line of nothing but the bracket that begins an object.
const INDENTED: usize = 64;

/// What a line is to an object over several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// No part of one.
    No,
    /// A part of one that goes on.
    Inside,
    /// The end of one; the object in one line, with the number of its first line.
    Whole(u64, String),
}

/// Puts the lines of an object together. Of nested lists of objects the innermost objects are taken: the outer one is
/// the list of records, not a record.
#[derive(Debug, Default)]
pub(crate) struct Pretty {
    text: String,
    depth: usize,
    first: u64,
}

impl Pretty {
    /// Takes the next line.
    pub(crate) fn take(&mut self, number: u64, line: &[u8]) -> Feed {
        if line.len() <= INDENTED && line.trim_ascii() == b"{" {
            self.text.clear();
            self.text.push('{');
            self.depth = 1;
            self.first = number;
            return Feed::Inside;
        }
        if self.depth == 0 {
            return Feed::No;
        }
        let part = String::from_utf8_lossy(line.trim_ascii());
        let belongs = part.is_empty()
            || part.starts_with(['"', '}', ']', '[', '-'])
            || part.starts_with(|first: char| first.is_ascii_digit()) && part.len() <= 32
            || ["true", "false", "null"].contains(&part.trim_end_matches(','));
        if !belongs || self.text.len() + part.len() > LONGEST {
            self.depth = 0;
            return Feed::No;
        }
        self.text.push_str(&part);
        if part.starts_with(['}', ']']) {
            self.depth -= 1;
        }
        if part.ends_with(['{', '[']) {
            self.depth += 1;
        }
        if self.depth > 0 {
            return Feed::Inside;
        }
        let whole = std::mem::take(&mut self.text);
        Feed::Whole(self.first, whole.trim_end_matches(',').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, Pretty};
    use rstest::rstest;

    fn wholes(text: &str) -> Vec<(u64, String)> {
        let mut pretty = Pretty::default();
        (1..)
            .zip(text.lines())
            .filter_map(|(number, line)| match pretty.take(number, line.as_bytes()) {
                Feed::Whole(first, text) => Some((first, text)),
                _ => None,
            })
            .collect()
    }

    #[rstest]
    #[case::list("[\n  {\n    \"a\": \"x\",\n    \"b\": 1\n  },\n  {\n    \"a\": \"y\"\n  }\n]", &[(2, "{\"a\": \"x\",\"b\": 1}"), (6, "{\"a\": \"y\"}")])]
    #[case::within_an_object("{\n  \"events\": [\n    {\n      \"m\": \"x\"\n    }\n  ],\n  \"n\": []\n}", &[(3, "{\"m\": \"x\"}")])]
    #[case::nested("{\n  \"r\": {\n    \"t\": [\n      \"x\"\n    ]\n  },\n  \"m\": \"y {\"\n}", &[(1, "{\"r\": {\"t\": [\"x\"]},\"m\": \"y {\"}")])]
    #[case::of_a_program("{\n  code: 'MODULE_NOT_FOUND',\n}\nx", &[])]
    #[case::cut("{\n  \"m\": \"x\"\nTraceback", &[])]
    fn puts_together(#[case] text: &str, #[case] expected: &[(u64, &str)]) {
        let found = wholes(text);
        let found: Vec<(u64, &str)> = found.iter().map(|(first, text)| (*first, text.as_str())).collect();
        assert_eq!(found, expected);
    }
}
