//! What Kubernetes accepts as the name of an object, and as a key in it. A name goes into the path of a request: what
//! is none must never get there.

/// Characters of a name (RFC 1123), and of a key.
pub const LONGEST_NAME: usize = 253;

/// A DNS subdomain, as a regular expression for the schema; the length is limited apart.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A key of a Secret or `ConfigMap`, as a regular expression for the schema; the length is limited apart.
pub const KEY_PATTERN: &str = "^[-._a-zA-Z0-9]+$";

/// Whether an object such as a Secret, a `ConfigMap` or an `IngressClass` can have this name.
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inside = |byte: &u8| edge(Some(*byte)) || *byte == b'-';
        edge(bytes.first().copied()) && edge(bytes.last().copied()) && bytes.iter().all(inside)
    };
    name.len() <= LONGEST_NAME && name.split('.').all(label)
}

/// Whether a Secret or a `ConfigMap` can have this key.
#[must_use]
pub fn is_data_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !key.is_empty() && key.len() <= LONGEST_NAME && key.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_lite::Regex;
    use rstest::rstest;

    use super::*;

    proptest! {
        /// The API server, which goes by the schema, takes exactly what the operator takes.
        #[test]
        fn the_schema_says_the_same(
            text in prop_oneof![
                "[-a-z0-9.]{0,8}",
                "[-._a-zA-Z0-9/ \u{e4}\n]{0,6}",
                "[a-z.]{248,258}",
                any::<String>(),
            ],
        ) {
            let matches = |pattern: &str| {
                text.chars().count() <= LONGEST_NAME && Regex::new(pattern).unwrap().is_match(&text)
            };
            prop_assert_eq!(is_object_name(&text), matches(NAME_PATTERN));
            prop_assert_eq!(is_data_key(&text), matches(KEY_PATTERN));
        }
    }

    #[rstest]
    #[case("flagsmith-db", true)]
    #[case("a.b-c.0", true)]
    #[case("", false)]
    #[case("..", false)]
    #[case("a..b", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("a.-b", false)]
    #[case("A", false)]
    #[case("a b", false)]
    #[case("g-db?x=/../..#", false)]
    #[case("../../kube-system/secrets/v", false)]
    #[case("a%2fb", false)]
    #[case("ä", false)]
    fn names(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_object_name(name), expected);
    }

    #[rstest]
    #[case("DATABASE_URL", true)]
    #[case("tls.crt", true)]
    #[case("", false)]
    #[case("a/b", false)]
    #[case("a b", false)]
    #[case("ä", false)]
    fn keys(#[case] key: &str, #[case] expected: bool) {
        assert_eq!(is_data_key(key), expected);
    }

    #[test]
    fn length_is_limited() {
        assert!(is_object_name(&"a".repeat(LONGEST_NAME)));
        assert!(!is_object_name(&"a".repeat(LONGEST_NAME + 1)));
        assert!(!is_data_key(&"a".repeat(LONGEST_NAME + 1)));
    }
}
