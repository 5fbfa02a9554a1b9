//! Bytes to lines, whatever the bytes are: bounded in memory, and the same for every way to cut the stream.

/// What is kept of the beginning of an overlong line. Kubernetes' runtimes split at 16 KiB; a JSON record with
/// a long traceback stays whole.
const HEAD: usize = 48 * 1024;
/// What is kept of the end of an overlong line: the last exception of a long traceback is there.
const TAIL: usize = 16 * 1024;
/// Stands where the middle of an overlong line was.
const CUT: &[u8] = " … ".as_bytes();

/// What is known of bytes that begin with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// So many of them have nothing in them that tells of something.
    pub clear: usize,
    /// What follows these tells of something.
    pub tells: bool,
}

impl Ahead {
    /// How many of the bytes are whole lines without the last one of those that tell nothing.
    fn uneventful(&self, bytes: &[u8]) -> usize {
        let clear = bytes.get(..self.clear).unwrap_or(bytes);
        let mut ends = memchr::memrchr_iter(b'\n', clear).skip(1);
        ends.next().map_or(0, |end| end + 1)
    }
}

/// Splits chunks of bytes into lines without `\n`, numbered from 1.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: bool,
    line: u64,
}

impl LineSplitter {
    /// Takes the next chunk and hands every finished line to `each`.
    pub(crate) fn push(&mut self, chunk: &[u8], each: &mut impl FnMut(u64, &[u8])) {
        self.push_to(chunk, each, |_, _| None, |each, number, line, _| each(number, line));
    }

    /// Takes the next chunk and hands every finished line to `each`, with whether it tells of something where `look` has
    /// found that out. Of lines in a row that tell nothing only the last is handed over.
    pub(crate) fn push_to<T>(
        &mut self,
        chunk: &[u8],
        to: &mut T,
        look: impl Fn(&T, &[u8]) -> Option<Ahead>,
        each: impl Fn(&mut T, u64, &[u8], Option<bool>),
    ) {
        let mut rest = chunk;
        let mut ahead: Option<Ahead> = None;
        loop {
            if self.head.is_empty() && ahead.is_none() {
                ahead = look(to, rest);
                if let Some(ahead) = &mut ahead {
                    let (passed, after) = rest.split_at(ahead.uneventful(rest));
                    let lines = memchr::memchr_iter(b'\n', passed).count();
                    self.line = self.line.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
                    ahead.clear = ahead.clear.saturating_sub(passed.len());
                    rest = after;
                }
            }
            let Some(end) = memchr::memchr(b'\n', rest) else { break };
            let (line, after) = rest.split_at(end);
            let tells = match &mut ahead {
                Some(ahead) if end < ahead.clear => {
                    ahead.clear -= end + 1;
                    Some(false)
                }
                Some(_) => ahead.take().filter(|ahead| ahead.tells).map(|_| true),
                None => None,
            };
            if self.head.is_empty() && line.len() <= HEAD {
                self.line += 1;
                each(to, self.line, line, tells);
            } else {
                self.keep(line);
                self.flush(&mut |number, line| each(to, number, line, tells));
            }
            rest = after.get(1..).unwrap_or_default();
        }
        self.keep(rest);
    }

    /// Hands over a last line that has no newline.
    pub(crate) fn finish(&mut self, each: &mut impl FnMut(u64, &[u8])) {
        if !self.head.is_empty() {
            self.flush(each);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let (head, tail) = bytes.split_at(bytes.len().min(HEAD.saturating_sub(self.head.len())));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
            self.dropped = true;
        }
    }

    fn flush(&mut self, each: &mut impl FnMut(u64, &[u8])) {
        self.line += 1;
        let excess = self.tail.len().saturating_sub(TAIL);
        if self.dropped || excess > 0 {
            self.head.extend_from_slice(CUT);
        }
        self.head.extend(self.tail.drain(..).skip(excess));
        each(self.line, &self.head);
        self.head.clear();
        self.head.shrink_to(2 * HEAD);
        self.dropped = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        let mut each = |number: u64, line: &[u8]| lines.push((number, line.to_vec()));
        for chunk in chunks {
            splitter.push(chunk, &mut each);
        }
        splitter.finish(&mut each);
        lines
    }

    #[test]
    fn last_line_needs_no_newline() {
        assert_eq!(lines(&[b"a\n\nb"]), [(1, b"a".to_vec()), (2, Vec::new()), (3, b"b".to_vec())]);
    }

    #[test]
    fn overlong_line_keeps_both_ends() {
        let mut long = vec![b'x'; 3 * 1024 * 1024];
        long.extend_from_slice(b"the end\nnext\n");
        let lines = lines(&[b"start", &long]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].1.len() <= HEAD + CUT.len() + TAIL);
        assert!(lines[0].1.starts_with(b"startxx") && lines[0].1.ends_with(b"xxthe end"));
        assert_eq!(lines[1], (2, b"next".to_vec()));
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_lines(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0_usize..40_000), 0..8),
            cut in 0_usize..200_000,
        ) {
            let mut bytes = Vec::new();
            for (part, run) in parts {
                bytes.extend_from_slice(&part);
                bytes.resize(bytes.len() + run, b'.');
            }
            let (before, after) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(lines(&[before, after]), lines(&[&bytes]));
        }
    }
}
