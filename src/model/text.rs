//! Text from outside, as it may be shown: in a status, an Event, a log line, on a terminal.
//!
//! Names, messages and log lines come from databases, tenants and their clients. What is shown of them has no secrets, no
//! control characters (which a terminal obeys), none that change the direction or hide other characters, and a bounded
//! length.

use std::fmt;

use serde::{Serialize, Serializer};

use super::redact::redact;

/// The longest message of a diagnosis, in characters: a few sentences.
pub(crate) const MESSAGE: usize = 1_000;
/// The longest piece of evidence: one log line or server message.
pub(crate) const EVIDENCE: usize = 600;
/// The longest remedy: a command with all values of a Helm release in it is the longest that is meant.
pub(crate) const REMEDY: usize = 4_000;

/// Text that may be shown. There is no other way to make one than through [`Text::new`], which cleans and bounds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

impl Text {
    /// Text of at most `longest` characters, without control characters and secrets.
    #[must_use]
    pub fn new(text: &str, longest: usize) -> Self {
        Self(bounded(&redact(&visible(text)), longest))
    }

    /// The same for a command or a sentence that the operator itself composed around values that are quoted where they
    /// stand: example credentials in it are no secrets.
    #[must_use]
    pub fn composed(text: &str, longest: usize) -> Self {
        Self(bounded(&visible(text), longest))
    }

    /// What is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The text without what a terminal or a reader's eye is led astray by; line breaks become spaces.
pub(crate) fn visible(text: &str) -> String {
    if text.chars().all(|it| it == ' ' || is_visible(it)) {
        return text.to_owned();
    }
    let spaced: String = text
        .chars()
        .filter_map(|it| match it {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            it if it == ' ' || is_visible(it) => Some(it),
            _ => None,
        })
        .collect();
    spaced.trim().to_owned()
}

/// Whether a character shows itself and nothing else: no control character, no mark of direction, nothing of no width.
const fn is_visible(it: char) -> bool {
    !matches!(
        it,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The beginning of a text, with an ellipsis where something is left out.
pub(crate) fn bounded(text: &str, longest: usize) -> String {
    if text.char_indices().nth(longest).is_none() {
        return text.to_owned();
    }
    let end = text.char_indices().nth(longest.saturating_sub(1)).map_or(0, |(end, _)| end);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::title("a\u{1b}]0;pwn\u{7}b", "a]0;pwnb")]
    #[case::clear("\u{1b}[2Jgone", "[2Jgone")]
    #[case::right_to_left("abc\u{202e}cba", "abccba")]
    #[case::zero_width("pass\u{200b}word", "password")]
    #[case::lines("one\r\ntwo\n", "one  two")]
    #[case::letters("naïve 数据库", "naïve 数据库")]
    fn only_what_shows_itself(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(visible(text), shown);
    }

    #[test]
    fn what_is_left_out_is_marked() {
        assert_eq!(bounded("abcdef", 6), "abcdef");
        assert_eq!(bounded("abcdefg", 6), "abcde…");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(text in any::<String>(), longest in 1_usize..200) {
            let shown = Text::new(&text, longest);
            prop_assert!(shown.chars().all(|it| it == ' ' || is_visible(it)));
            prop_assert!(shown.chars().count() <= longest);
        }
    }
}
