//! Names and texts in SQL that users paste into psql.

/// The longest identifier that PostgreSQL keeps, in bytes (`NAMEDATALEN` - 1).
const LONGEST: usize = 63;

/// A name as an SQL identifier: as it is where it is plain, else in double quotes. What PostgreSQL could not have as a name,
/// or what does not show itself, is replaced by the placeholder.
pub(crate) fn identifier(name: &str, placeholder: &str) -> String {
    let shown = !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control);
    let hidden = |it: char| matches!(it, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if !shown || name.chars().any(hidden) {
        return placeholder.to_owned();
    }
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A relation as PostgreSQL shows it (`regclass`): perhaps with its schema, and names in double quotes already where they
/// have to be. What cannot be read like that is taken for one name.
pub(crate) fn relation(shown: &str, placeholder: &str) -> String {
    let Some(parts) = parts(shown) else {
        return identifier(shown, placeholder);
    };
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, quoted)| match identifier(name, placeholder) {
            plain if *quoted && plain == *name => format!("\"{plain}\""),
            name => name,
        })
        .collect();
    parts.join(".")
}

/// The names of a relation, unquoted, and whether they were quoted.
fn parts(shown: &str) -> Option<Vec<(String, bool)>> {
    let mut parts = Vec::new();
    let mut rest = shown;
    loop {
        let (name, quoted, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = until_quote(quoted)?;
            (name, true, after)
        } else {
            let (name, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
            if name.is_empty() || name.contains('"') {
                return None;
            }
            (name.to_owned(), false, after)
        };
        parts.push((name, quoted));
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?;
    }
}

/// A name up to its closing quote, and what comes after that; two quotes are one of the name's own.
fn until_quote(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// A text as an SQL string constant, for a server with `standard_conforming_strings`, the default since 9.1. What does not
/// show itself is replaced by the placeholder.
pub(crate) fn literal(text: &str, placeholder: &str) -> String {
    let shown = if text.chars().any(char::is_control) { placeholder } else { text };
    format!("'{}'", shown.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("flagsmith_app", "flagsmith_app")]
    #[case("environment-documents", "\"environment-documents\"")]
    #[case("a\"b", "\"a\"\"b\"")]
    #[case("x\"; DROP TABLE t; --", "\"x\"\"; DROP TABLE t; --\"")]
    #[case("a\n\\! sh", "ROLE")]
    #[case("", "ROLE")]
    fn identifiers(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(identifier(name, "ROLE"), expected);
    }

    #[rstest]
    #[case("notes_idx", "notes_idx")]
    #[case("other.notes_idx", "other.notes_idx")]
    #[case("\"order\"", "\"order\"")]
    #[case("\"a.b\".\"C\"\"d\"", "\"a.b\".\"C\"\"d\"")]
    #[case("\"a\"; DROP TABLE t; --", "\"\"\"a\"\"; DROP TABLE t; --\"")]
    #[case("a..b", "\"a..b\"")]
    #[case("a\n", "RELATION")]
    fn relations(#[case] shown: &str, #[case] expected: &str) {
        assert_eq!(relation(shown, "RELATION"), expected);
    }

    #[rstest]
    #[case("it's", "'it''s'")]
    #[case("a\nb", "'TEXT'")]
    fn literals(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(literal(text, "TEXT"), expected);
    }
}
