//! Rows of comma-separated values, as Kibana, Datadog, AWS and spreadsheets export logs (RFC 4180).

use serde_json::Value;

use super::leaves::{Layout, learn};
use super::time::Moment;

/// What stands between columns.
const DELIMITERS: [char; 3] = [',', ';', '\t'];
/// The most columns of a table.
const COLUMNS: usize = 64;
/// The longest row that is put together from lines, in bytes.
const LONGEST: usize = 64 * 1024;

/// The form of the rows of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    delimiter: char,
    columns: usize,
    layout: Layout,
}

impl Rows {
    /// Learns it from the lines of a log; `None` where they are no rows.
    pub(crate) fn learn(lines: &[&str]) -> Option<Self> {
        // A document in a cell is quoted, with its marks doubled.
        if lines.iter().any(|line| line.starts_with("{\"")) {
            return None;
        }
        // A row has a mark in front of a mark, or begins with one: most logs are sorted out by that.
        lines.iter().find(|line| {
            line.starts_with('"') || line.contains(",\"") || line.contains(";\"") || line.contains("\t\"")
        })?;
        let mut rows: Vec<String> = Vec::new();
        let mut row = String::new();
        for line in lines {
            if append(&mut row, line) {
                rows.push(std::mem::take(&mut row));
            }
        }
        rows.retain(|row| !row.trim().is_empty());
        DELIMITERS.into_iter().find_map(|delimiter| Self::with(delimiter, &rows))
    }

    fn with(delimiter: char, rows: &[String]) -> Option<Self> {
        let read: Vec<Vec<(bool, String)>> = rows.iter().filter_map(|row| fields(row, delimiter)).collect();
        let columns = read.last()?.len();
        let same: Vec<&Vec<(bool, String)>> = read.iter().filter(|row| row.len() == columns).collect();
        let quoted = same.iter().any(|row| row.iter().any(|(quoted, _)| *quoted));
        if !quoted || same.len() * 5 < rows.len() * 4 {
            return None;
        }
        let layout = if columns == 1 {
            // Only what has to be quoted is.
            let needed = |field: &str| field.contains(['"', '\n', delimiter]);
            let quoted = || same.iter().flat_map(|row| row.iter()).filter(|(quoted, _)| *quoted);
            // Where most of a log is quoted, a line of somebody else may stand beside it.
            let others = same.len() < rows.len() && quoted().count() * 2 < rows.len();
            if others || quoted().any(|(_, field)| !needed(field)) {
                return None;
            }
            learn(&[values(&same, |row| row.first().map(|(_, field)| Value::from(field.as_str())))], true)?
        } else {
            learn(&[values(&same, |row| Some(value(row)))], true)?
        };
        Some(Self { delimiter, columns, layout })
    }

    /// The line in a row, and its time; `None` for what is no row.
    pub(crate) fn read(&self, row: &str) -> Option<(String, Option<Moment>)> {
        let fields = fields(row, self.delimiter).filter(|fields| fields.len() == self.columns)?;
        if self.columns == 1 {
            return fields.into_iter().next().map(|(_, field)| (field, None));
        }
        let row = value(&fields);
        Some((self.layout.text(&row)?.to_owned(), self.layout.time(&row)))
    }
}

fn values(rows: &[&Vec<(bool, String)>], value: impl Fn(&Vec<(bool, String)>) -> Option<Value>) -> Value {
    Value::Array(rows.iter().filter_map(|row| value(row)).collect())
}

fn value(row: &[(bool, String)]) -> Value {
    row.iter().map(|(_, field)| Value::from(field.as_str())).collect()
}

/// Adds a line to a row; whether the row is whole: a field in quotation marks may go over lines.
pub(crate) fn append(row: &mut String, line: &str) -> bool {
    if !row.is_empty() {
        row.push('\n');
    }
    row.push_str(line);
    row.bytes().filter(|byte| *byte == b'"').count() % 2 == 0 || row.len() > LONGEST
}

/// The fields of a row, and whether each was quoted; `None` when it is no row.
fn fields(text: &str, delimiter: char) -> Option<Vec<(bool, String)>> {
    let mut fields = Vec::new();
    let mut rest = text.trim_end_matches('\r');
    loop {
        let (quoted, field, after) = if let Some(inner) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(inner)?;
            (true, field, after)
        } else {
            let end = rest.find(delimiter).unwrap_or(rest.len());
            let (field, after) = rest.split_at_checked(end)?;
            if field.contains('"') {
                return None;
            }
            (false, field.to_owned(), after)
        };
        fields.push((quoted, field));
        match after.strip_prefix(delimiter) {
            Some(next) if fields.len() < COLUMNS => rest = next,
            None if after.is_empty() => return Some(fields),
            _ => return None,
        }
    }
}

/// A field up to its closing quotation mark, and what follows; doubled marks are the field's own.
fn quoted_field(inner: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = inner;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;
    use rstest::rstest;

    fn read(text: &str) -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        let rows = Rows::learn(&lines).unwrap();
        lines.iter().filter_map(|line| rows.read(line)).map(|(line, _)| line).collect()
    }

    #[rstest]
    #[case::datadog(
        "\"date\",\"host\",\"message\"\n\"2026-11-20T03:12:01.000Z\",\"node3\",\"FATAL:  role \"\"fs\"\" does not exist\"",
        &["message", "FATAL:  role \"fs\" does not exist"]
    )]
    #[case::insights(
        "2026-11-20 03:12:01.000,\"{\"\"message\"\": \"\"a, b, c, d\"\"}\"",
        &["{\"message\": \"a, b, c, d\"}"]
    )]
    #[case::semicolons("\"2026-11-20T03:12:01Z\";\"Traceback (most recent call last):\"", &["Traceback (most recent call last):"])]
    #[case::one_column(
        "message\nTraceback (most recent call last):\n\"  File \"\"/app/x.py\"\", line 1, in f\"\n    return x\n",
        &["message", "Traceback (most recent call last):", "  File \"/app/x.py\", line 1, in f", "    return x"]
    )]
    #[case::one_column_and_a_line_of_others(
        "message\n\"a, b\"\n\"say \"\"c\"\"\"\n\"d, e\"\nGET \"/\" 200",
        &["message", "a, b", "say \"c\"", "d, e"]
    )]
    fn rows(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(read(text), expected);
    }

    #[rstest]
    #[case::json("\"message\": \"a,\\\"b\\\"\"")]
    #[case::python_stamp("2026-11-20 03:12:01,123 ERROR a \"b\"")]
    #[case::access(
        "10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] \"GET /?a=1,\"b\" HTTP/1.1\" 200 5 \"-\" \"x\""
    )]
    #[case::exception("relation \"x\" does not exist,\"y\"")]
    #[case::traceback("Traceback (most recent call last):\n  File \"/app/x.py\", line 1, in f\n")]
    fn no_rows(#[case] text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(Rows::learn(&lines), None);
    }
}
