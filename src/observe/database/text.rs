//! Text of a server, before anybody sees it.

use crate::{logs, model::redact::redact};

/// Characters of a server's text that are shown: its message in full, if it is an honest one.
const SHOWN: usize = 300;

/// Bytes of it that are looked at: redaction reads all of what it gets, several times.
const READ: usize = 1_000;

/// A server's text on one line: bounded, without secrets, and without characters that do something to a terminal or
/// hide in a line.
pub(super) fn shown(text: &str) -> String {
    bounded(text, SHOWN)
}

/// The same with another bound, in characters.
pub(super) fn bounded(text: &str, most: usize) -> String {
    let read = text.get(..text.floor_char_boundary(READ)).unwrap_or_default();
    let one_line = read.replace(['\n', '\r', '\t'], " ");
    let cleaned = logs::clean::clean(one_line.as_bytes());
    let visible: String = cleaned.chars().filter(|character| !is_invisible(*character)).collect();
    redact(&visible).chars().take(most).collect()
}

/// Characters that turn the direction of what follows, or have no width: `Cf` as far as anybody has use for it here,
/// and the separators of lines and paragraphs.
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::terminal("a\u{1b}]0;pwn\u{7}b\u{1b}[2Jc", "abc")]
    #[case::bidi("a\u{202e}b\u{200b}c", "abc")]
    #[case::lines("a\nb", "a b")]
    #[case::secret("password=hunter2 x", "password=*** x")]
    #[case::plain("role \"flagsmith\" does not exist", "role \"flagsmith\" does not exist")]
    fn is_made_harmless(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(text), expected);
    }

    proptest! {
        #[test]
        fn is_bounded_and_visible(text in any::<String>(), times in 1_usize..200) {
            let shown = shown(&text.repeat(times));
            prop_assert!(shown.chars().count() <= SHOWN);
            prop_assert!(!shown.chars().any(|it| it.is_control() || is_invisible(it)), "{shown:?}");
        }
    }
}
