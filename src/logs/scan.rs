//! The structure of JSON, byte by byte: where values begin and end, in memory that does not grow with them.

/// The deepest nesting that is followed; collectors nest a handful of levels.
const DEEPEST: usize = 64;

/// What a byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Within a value, or between values.
    Inside,
    /// The first byte of a value that is neither object nor array.
    Begin,
    /// The bracket that opens an object or array.
    Open,
    /// The first byte of a key: its quotation mark.
    KeyBegin,
    /// The last byte of a key: its quotation mark.
    KeyEnd,
    /// The last byte of a value.
    End,
    /// The byte behind a number or word, which ended with the byte before; this byte is to be given again.
    EndBefore,
}

/// The bytes are no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value has to come; or, in an empty array, its end.
    Value {
        or_end: bool,
    },
    /// A key has to come; or, in an empty object, its end.
    Key {
        or_end: bool,
    },
    Colon,
    /// A comma or the end of what is open.
    After,
    Text {
        key: bool,
        escaped: bool,
    },
    /// A number or word.
    Word,
}

/// Follows the brackets and strings of one value.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// The brackets that are open: whether each is an array.
    open: Vec<bool>,
    state: State,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { open: Vec::new(), state: State::Value { or_end: false } }
    }
}

impl Scanner {
    /// How many brackets are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether the bracket at this depth, from 1, is an array.
    pub(crate) fn is_array(&self, depth: usize) -> bool {
        depth.checked_sub(1).and_then(|at| self.open.get(at)) == Some(&true)
    }

    /// Whether nothing is open and the value has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty() && self.state == State::After
    }

    /// The brackets that end what is open, innermost first.
    pub(crate) fn closing(&self) -> Vec<u8> {
        self.open.iter().rev().map(|array| if *array { b']' } else { b'}' }).collect()
    }

    /// Whether a value has just ended and something is open: the text could be cut here.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::After && !self.open.is_empty()
    }

    /// How many of the bytes are within a string and change nothing.
    pub(crate) fn idle(&self, bytes: &[u8]) -> usize {
        match self.state {
            State::Text { escaped: false, .. } => {
                memchr::memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len())
            }
            _ => 0,
        }
    }

    /// Takes the next byte.
    pub(crate) fn step(&mut self, byte: u8) -> Result<Step, NotJson> {
        match self.state {
            // What is not closed on its line is no string.
            State::Text { .. } if byte == b'\n' => Err(NotJson),
            State::Text { key, escaped: true } => {
                self.state = State::Text { key, escaped: false };
                Ok(Step::Inside)
            }
            State::Text { key, escaped: false } => Ok(match byte {
                b'\\' => {
                    self.state = State::Text { key, escaped: true };
                    Step::Inside
                }
                b'"' if key => {
                    self.state = State::Colon;
                    Step::KeyEnd
                }
                b'"' => {
                    self.state = State::After;
                    Step::End
                }
                _ => Step::Inside,
            }),
            State::Word if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-') => {
                Ok(Step::Inside)
            }
            State::Word => {
                self.state = State::After;
                Ok(Step::EndBefore)
            }
            _ if byte.is_ascii_whitespace() => Ok(Step::Inside),
            State::Value { or_end } => self.value(byte, or_end),
            State::Key { or_end } => match byte {
                b'"' => {
                    self.state = State::Text { key: true, escaped: false };
                    Ok(Step::KeyBegin)
                }
                b'}' if or_end => self.close(byte),
                _ => Err(NotJson),
            },
            State::Colon if byte == b':' => {
                self.state = State::Value { or_end: false };
                Ok(Step::Inside)
            }
            State::Colon => Err(NotJson),
            State::After => match byte {
                b',' => {
                    self.state = match self.open.last().ok_or(NotJson)? {
                        true => State::Value { or_end: false },
                        false => State::Key { or_end: false },
                    };
                    Ok(Step::Inside)
                }
                b'}' | b']' => self.close(byte),
                _ => Err(NotJson),
            },
        }
    }

    fn value(&mut self, byte: u8, or_end: bool) -> Result<Step, NotJson> {
        match byte {
            b'{' | b'[' if self.open.len() < DEEPEST => {
                self.open.push(byte == b'[');
                self.state = match byte {
                    b'[' => State::Value { or_end: true },
                    _ => State::Key { or_end: true },
                };
                Ok(Step::Open)
            }
            b']' if or_end => self.close(byte),
            b'"' => {
                self.state = State::Text { key: false, escaped: false };
                Ok(Step::Begin)
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.state = State::Word;
                Ok(Step::Begin)
            }
            _ => Err(NotJson),
        }
    }

    fn close(&mut self, byte: u8) -> Result<Step, NotJson> {
        if self.open.pop() != Some(byte == b']') {
            return Err(NotJson);
        }
        self.state = State::After;
        Ok(Step::End)
    }
}

/// The JSON at the beginning of `bytes` that can be read: to its end, or, where it is cut, as far as it goes, ended by
/// the brackets that are missing. Also how long it is; `None` where there is none.
pub(crate) fn beginning(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut scanner = Scanner::default();
    let mut cut: Option<(usize, Vec<u8>)> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match scanner.step(*byte).ok()? {
            Step::EndBefore => continue,
            Step::End if scanner.is_done() => return Some((bytes.get(..=at)?.to_vec(), at + 1)),
            // Only where a record may have ended: not behind each of its values.
            Step::End if matches!(byte, b'}' | b']') && scanner.is_between() => {
                cut = Some((at + 1, scanner.closing()));
            }
            _ => {}
        }
        at += 1;
        at += scanner.idle(bytes.get(at..)?);
    }
    let (end, closing) = cut?;
    let mut whole = bytes.get(..end)?.to_vec();
    whole.extend(closing);
    Some((whole, bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::beginning;
    use rstest::rstest;

    #[rstest]
    #[case::whole(r#"{"a": ["x", 1, null]} rest"#, Some((r#"{"a": ["x", 1, null]}"#, 21)))]
    #[case::text(r#""a\"b" rest"#, Some((r#""a\"b""#, 6)))]
    #[case::cut(r#"{"a": [{"b": "}"}, {"b": "y"#, Some((r#"{"a": [{"b": "}"}]}"#, 27)))]
    #[case::cut_too_early(r#"{"a": "#, None)]
    #[case::of_a_program("{\n  code: 'MODULE_NOT_FOUND',\n}", None)]
    #[case::gunicorn("[2023-11-28 06:07:21 +0000] [1] [INFO] x", None)]
    #[case::level("[error    ] x", None)]
    #[case::brackets("[}", None)]
    fn what_can_be_read(#[case] text: &str, #[case] expected: Option<(&str, usize)>) {
        let found = beginning(text.as_bytes());
        let found = found.as_ref().map(|(whole, end)| (std::str::from_utf8(whole).unwrap(), *end));
        assert_eq!(found, expected);
    }
}
