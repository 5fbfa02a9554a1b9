//! Shortened hexadecimal digests, as names, labels and annotations carry them.

/// The first `digits` hexadecimal digits of a digest, in lower case.
pub(crate) fn shortened(digest: &[u8], digits: usize) -> String {
    let mut text = hex::encode(digest);
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn takes_the_first_digits() {
        assert_eq!(super::shortened(&[0x0a, 0xff, 0x31], 5), "0aff3");
        assert_eq!(super::shortened(&[0x0a], 9), "0a");
    }
}
