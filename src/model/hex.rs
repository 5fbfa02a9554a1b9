//! Shortened hexadecimal digests, as names, labels and annotations carry them.

/// The first `digits` hexadecimal digits of a digest, in lower case.
pub(crate) fn shortened(digest: &[u8], digits: usize) -> String {
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(digits)
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn takes_the_first_digits() {
        assert_eq!(super::shortened(&[0x0a, 0xff, 0x31], 5), "0aff3");
        assert_eq!(super::shortened(&[0x0a], 9), "0a");
    }
}
