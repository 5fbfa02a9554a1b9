//! The time stamps of the log formats, as microseconds since 1970.

use std::fmt;

/// A moment, in microseconds since 1970 (UTC; a stamp without zone is taken as UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// Whole seconds from `earlier` to this moment; negative when it came before.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0) / 1_000_000
    }

    /// Reads the stamp at the beginning of `text`; returns it with what follows.
    ///
    /// Understands `2026-11-22T15:40:56.927275Z`, `2023-11-28 06:07:21 +0000`, `2023-11-28 06:07:21,123`.
    #[must_use]
    pub fn read(text: &str) -> Option<(Self, &str)> {
        let (date, rest) = text.split_at_checked(10)?;
        let date: jiff::civil::Date = date.parse().ok()?;
        let rest = rest.strip_prefix(['T', ' '])?;
        let (clock, rest) = rest.split_at_checked(8)?;
        if clock.as_bytes().get(2) != Some(&b':') || clock.as_bytes().get(5) != Some(&b':') {
            return None;
        }
        let clock: jiff::civil::Time = clock.parse().ok()?;
        let (micros, rest) = fraction(rest);
        let (offset, rest) = zone(rest);
        let seconds = date
            .to_datetime(clock)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second();
        Some((Self((seconds - offset) * 1_000_000 + micros), rest))
    }
}

fn fraction(text: &str) -> (i64, &str) {
    let Some(digits) = text.strip_prefix(['.', ',']) else {
        return (0, text);
    };
    let end = digits
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    if number.is_empty() {
        return (0, text);
    }
    let micros = number.bytes().chain(std::iter::repeat(b'0')).take(6);
    (
        micros.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')),
        rest,
    )
}

/// Seconds east of UTC.
fn zone(text: &str) -> (i64, &str) {
    if let Some(rest) = text.strip_prefix('Z') {
        return (0, rest);
    }
    let trimmed = text.strip_prefix(' ').unwrap_or(text);
    let sign = match trimmed.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (0, text),
    };
    let digits: String = trimmed
        .chars()
        .skip(1)
        .take(5)
        .filter(char::is_ascii_digit)
        .collect();
    let length = if trimmed.as_bytes().get(3) == Some(&b':') {
        6
    } else {
        5
    };
    match (digits.get(..2), digits.get(2..4), trimmed.get(length..)) {
        (Some(hours), Some(minutes), Some(rest)) => {
            let number = |text: &str| text.parse::<i64>().unwrap_or_default();
            (sign * (number(hours) * 3600 + number(minutes) * 60), rest)
        }
        _ => (0, text),
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.div_euclid(1_000_000)) {
            Ok(timestamp) => write!(formatter, "{timestamp}"),
            Err(_) => formatter.write_str("an unknown time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use rstest::rstest;

    #[rstest]
    #[case::structlog("2026-11-22T15:40:56.927275Z [info", "2026-11-22T15:40:56Z", " [info")]
    #[case::kubelet("2026-11-22T15:40:56.927275123+01:00 x", "2026-11-22T14:40:56Z", " x")]
    #[case::gunicorn("2023-11-28 06:07:21 +0000] [1]", "2023-11-28T06:07:21Z", "] [1]")]
    #[case::python("2023-11-28 06:07:21,123", "2023-11-28T06:07:21Z", "")]
    fn reads(#[case] text: &str, #[case] moment: &str, #[case] rest: &str) {
        let (read, left) = Moment::read(text).unwrap();
        assert_eq!((read.to_string().as_str(), left), (moment, rest));
    }

    #[rstest]
    #[case("2026-13-22T15:40:56Z")]
    #[case("yesterday, about")]
    #[case("2026-11-22")]
    #[case("2026-11-22T15.40.56")]
    #[case("20é6-11-22T15:40:56")]
    fn rejects(#[case] text: &str) {
        assert_eq!(Moment::read(text), None);
    }

    #[test]
    fn difference_in_seconds() {
        let at = |text: &str| Moment::read(text).unwrap().0;
        assert_eq!(
            at("2026-11-22T15:41:01.5Z").seconds_since(at("2026-11-22T15:40:56Z")),
            5
        );
    }
}
