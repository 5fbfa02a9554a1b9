//! Names and texts in SQL that users paste into psql.

/// The longest identifier that PostgreSQL keeps, in bytes (`NAMEDATALEN` - 1).
const LONGEST: usize = 63;

/// A name as an SQL identifier: as it is where it is plain, else in double quotes. What PostgreSQL could not have as a name,
/// or what does not show itself, is replaced by the placeholder.
#[must_use]
pub fn identifier(name: &str, placeholder: &str) -> String {
    let shown = !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control);
    let hidden = |it: char| matches!(it, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if !shown || name.chars().any(hidden) {
        return placeholder.to_owned();
    }
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as an SQL string constant, for a server with `standard_conforming_strings`, the default since 9.1. What does not
/// show itself is replaced by the placeholder.
#[must_use]
pub fn literal(text: &str, placeholder: &str) -> String {
    let shown = if text.chars().any(char::is_control) {
        placeholder
    } else {
        text
    };
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
    #[case("it's", "'it''s'")]
    #[case("a\nb", "'TEXT'")]
    fn literals(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(literal(text, "TEXT"), expected);
    }
}
