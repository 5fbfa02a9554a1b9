//! Log lines in CSV, as Kibana, Datadog and AWS export them.

/// The log line in a row of a CSV export: its longest field, which has to be quoted. `None` for any other line.
pub(crate) fn line(text: &str) -> Option<String> {
    let text = text.trim_end();
    let quoted = text.starts_with('"') || text.starts_with(|first: char| first.is_ascii_digit());
    if !(quoted && text.ends_with('"') && text.contains(",\"")) {
        return None;
    }
    let fields = fields(text)?;
    let (quoted, line) = fields.into_iter().max_by_key(|(_, field)| field.len())?;
    quoted.then_some(line)
}

/// The fields of a row, and whether each was quoted; `None` when it is no row of two or more (RFC 4180).
fn fields(text: &str) -> Option<Vec<(bool, String)>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (quoted, field, after) = if let Some(inner) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(inner)?;
            (true, field, after)
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (field, after) = rest.split_at_checked(end)?;
            // Dates and names; a sentence is quoted.
            if field.len() > 64 || field.contains(['"', '[', '{']) {
                return None;
            }
            (false, field.to_owned(), after)
        };
        fields.push((quoted, field));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return None,
        }
    }
    (fields.len() > 1).then_some(fields)
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
    use super::line;
    use rstest::rstest;

    #[rstest]
    #[case::datadog(
        r#""2026-11-20T03:12:01.000Z","node3","FATAL:  role ""fs"" does not exist""#,
        Some(r#"FATAL:  role "fs" does not exist"#)
    )]
    #[case::insights(
        r#"2026-11-20 03:12:01.000,"{""message"": ""a, b, c, d""}""#,
        Some(r#"{"message": "a, b, c, d"}"#)
    )]
    #[case::header(r#""date","host","message""#, Some("message"))]
    #[case::json_line(r#""message": "a,\"b\"""#, None)]
    #[case::python_stamp(r#"2026-11-20 03:12:01,123 ERROR a,"b""#, None)]
    #[case::access(
        r#"10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] "GET /?a=1,"b" HTTP/1.1" 200 5 "-" "x""#,
        None
    )]
    #[case::exception(r#"relation "x" does not exist,"y""#, None)]
    fn rows(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(line(text).as_deref(), expected);
    }
}
