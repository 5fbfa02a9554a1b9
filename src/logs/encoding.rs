//! In which letters a log is written.

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE};

/// How many bytes of a log tell.
const TELLING: usize = 4 * 1024;
/// Of fewer bytes nothing is known without a byte order mark.
const SHORTEST: usize = 8;

/// The encoding of a log of two bytes for each letter; `None` for all others, which are told apart line by line
/// (`clean`). A Windows shell writes it with `>`; exports of it have no byte order mark.
pub(crate) fn wide(start: &[u8]) -> Option<&'static Encoding> {
    match start {
        [0xFF, 0xFE, ..] => return Some(UTF_16LE),
        [0xFE, 0xFF, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let start = start.get(..start.len().min(TELLING)).unwrap_or_default();
    let zeroes = |odd: usize| start.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeroes(0), zeroes(1));
    // A log has signs and digits, whatever its language: those have a zero as their other half.
    let most = start.len() / 4;
    if start.len() < SHORTEST {
        None
    } else if odd > most && even * 16 < odd {
        Some(UTF_16LE)
    } else if even > most && odd * 16 < even {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Makes UTF-8 of chunks of bytes.
pub(crate) struct Letters {
    decoder: Option<Decoder>,
    text: String,
}

impl Letters {
    /// Of a log in this encoding.
    pub(crate) fn of(encoding: Option<&'static Encoding>) -> Self {
        Self { decoder: encoding.map(Encoding::new_decoder_with_bom_removal), text: String::new() }
    }

    /// The next chunk in UTF-8, or as it is.
    pub(crate) fn narrow<'a>(&'a mut self, chunk: &'a [u8]) -> &'a [u8] {
        let Some(decoder) = &mut self.decoder else {
            return chunk;
        };
        self.text.clear();
        self.text.reserve(decoder.max_utf8_buffer_length(chunk.len()).unwrap_or_default());
        let _ = decoder.decode_to_string(chunk, &mut self.text, false);
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TEXT: &str = "FATAL:  Rolle »flagsmith« existiert nicht\r\nFATAL:  роль \"u\" не существует\r\n";

    #[rstest]
    #[case::little(u16::to_le_bytes)]
    #[case::big(u16::to_be_bytes)]
    fn wide_letters_are_read(#[case] bytes: fn(u16) -> [u8; 2], #[values(true, false)] mark: bool) {
        let units = mark.then_some(0xFEFF).into_iter().chain(TEXT.encode_utf16());
        let wide_text: Vec<u8> = units.flat_map(bytes).collect();
        let mut letters = Letters::of(wide(&wide_text));
        let read: Vec<u8> = wide_text.chunks(3).flat_map(|chunk| letters.narrow(chunk).to_vec()).collect();
        assert_eq!(String::from_utf8(read).unwrap(), TEXT);
    }

    #[rstest]
    #[case::letters(TEXT.as_bytes())]
    #[case::zeroes(b"\0\0\0\0\0\0\0\0\0\0\0\0line of a log\n")]
    #[case::empty(b"")]
    fn narrow_letters_stay(#[case] text: &[u8]) {
        assert_eq!(wide(text), None);
    }
}
