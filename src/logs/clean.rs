//! Raw bytes of one line to text without terminal codes and control characters.

use std::borrow::Cow;

use encoding_rs::WINDOWS_1252;

/// Decodes a line: UTF-8, or else Latin-1 or CP1252, where what is invalid in UTF-8 is replaced if some of the line is
/// UTF-8 all the same. Terminal sequences, carriage returns and control characters go.
pub(crate) fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let text = decode(bytes);
    // Nearly every line is clean already: all bytes printable, none that can begin a BOM or a C1 control.
    // (Counted, not searched: without an early end the compiler looks at many bytes at once.)
    let special = bytes.iter().filter(|byte| !(0x20..0x7F).contains(*byte) && **byte != b'\t').count();
    if special == 0 {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut characters),
            '\t' => clean.push('\t'),
            '\u{feff}' => {}
            control if control.is_control() => {}
            other => clean.push(other),
        }
    }
    Cow::Owned(clean)
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    if bytes.utf8_chunks().all(|chunk| chunk.valid().is_ascii()) {
        return WINDOWS_1252.decode_without_bom_handling(bytes).0;
    }
    String::from_utf8_lossy(bytes)
}

/// Skips what follows an escape character: a control sequence (`[31;1m`), an operating system command
/// (`]0;title` up to BEL), or one single character.
fn skip_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.next() {
        Some('[') => {
            for character in characters.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&character) {
                    break;
                }
            }
        }
        Some(']') => {
            for character in characters.by_ref() {
                if character == '\u{7}' || character == '\\' {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::clean;
    use rstest::rstest;

    #[rstest]
    #[case::colour(b"\x1b[2m2026\x1b[0m [\x1b[31m\x1b[1mcritical \x1b[0m] x", "2026 [critical ] x")]
    #[case::crlf(b"value\r", "value")]
    #[case::tab_stays(b"\tIs the server", "\tIs the server")]
    #[case::zeroes(b"\0\0\0line", "line")]
    #[case::latin(b"FATAL:  Rolle \xBBfs\xAB \x84x\x93", "FATAL:  Rolle »fs« „x“")]
    #[case::damaged(b"caf\xC3\xA9 \xff", "café \u{fffd}")]
    #[case::cut_sequence(b"x\x1b[", "x")]
    #[case::title(b"\x1b]0;title\x07x", "x")]
    fn cleans(#[case] raw: &[u8], #[case] expected: &str) {
        assert_eq!(clean(raw), expected);
    }
}
