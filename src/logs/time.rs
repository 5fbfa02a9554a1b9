//! The time stamps of the log formats, as microseconds since 1970.

use std::fmt;

/// A moment, in microseconds since 1970 (UTC; a stamp without zone is taken as UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub i64);

impl Moment {
    /// To the second; `None` outside of the years that a timestamp can say.
    pub(crate) fn timestamp(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_second(self.0.div_euclid(1_000_000)).ok()
    }

    /// Whole seconds from `earlier` to this moment; negative when it came before.
    pub(crate) const fn seconds_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0) / 1_000_000
    }

    /// Reads the stamp at the beginning of `text`; returns it with what follows.
    ///
    /// Understands `2026-11-22T15:40:56.927275Z`, `2023-11-28 06:07:21 +0000`, `2023-11-28 06:07:21,123`.
    pub(crate) fn read(text: &str) -> Option<(Self, &str)> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
        let is = |at: usize, signs: &[u8]| bytes.get(at).is_some_and(|byte| signs.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"T ")) {
            return None;
        }
        Self::on_day(number(0, 4)?, number(5, 7)?, number(8, 10)?, text.get(11..)?)
    }

    /// The moment of a day that a text begins with, as `15:40:56.927275Z`; and what follows.
    fn on_day(year: i64, month: i64, day: i64, text: &str) -> Option<(Self, &str)> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
        if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
            return None;
        }
        let (hour, minute, second) = (number(0, 2)?, number(3, 5)?, number(6, 8)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (micros, rest) = fraction(text.get(8..)?);
        let (offset, rest) = zone(rest);
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Some((Self((seconds - offset) * 1_000_000 + micros), rest))
    }
}

impl Moment {
    /// Reads a text that is nothing but a stamp, or a number of seconds, milliseconds, microseconds or nanoseconds since
    /// 1970, as products write it: of this century.
    pub(crate) fn read_alone(text: &str) -> Option<Self> {
        if let Some((moment, "")) = Self::read(text) {
            return Some(moment);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = digits(whole.as_bytes()).filter(|_| (10..=19).contains(&whole.len()))?;
        let micros = match number {
            1_000_000_000..=9_999_999_999 => {
                let (micros, _) = self::fraction(text.get(whole.len()..)?);
                number * 1_000_000 + micros
            }
            1_000_000_000_000..=9_999_999_999_999 => number * 1_000,
            1_000_000_000_000_000..=9_999_999_999_999_999 => number,
            1_000_000_000_000_000_000.. => number / 1_000,
            _ => return None,
        };
        Some(Self(micros))
    }

    /// Reads the stamp of an access line in the common log format: `… [22/Nov/2026:15:40:56 +0000] "GET …`.
    pub(crate) fn read_access(text: &str) -> Option<Self> {
        const MONTHS: &[&str] =
            &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (_, stamp) = text.split_once(" [")?;
        let (date, time) = stamp.split_once(':')?;
        let mut date = date.split('/');
        let (day, name, year) = (date.next()?, date.next()?, date.next()?);
        let (month, _) = (1..).zip(MONTHS).find(|(_, month)| **month == name)?;
        let clock = time.split_once(']')?.0;
        if day.len() != 2 || year.len() != 4 || !clock.contains(' ') {
            return None;
        }
        let (moment, _) = Self::on_day(digits(year.as_bytes())?, month, digits(day.as_bytes())?, clock)?;
        Some(moment)
    }
}

/// A number of nothing but digits.
fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0_i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years are counted from March, so that the leap day
/// is the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn fraction(text: &str) -> (i64, &str) {
    let Some(digits) = text.strip_prefix(['.', ',']) else {
        return (0, text);
    };
    let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    if number.is_empty() {
        return (0, text);
    }
    let micros = number.bytes().chain(std::iter::repeat(b'0')).take(6);
    (micros.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest)
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
    let mut digits = trimmed.chars().skip(1).take(5).filter_map(|digit| digit.to_digit(10)).map(i64::from);
    let mut number = || Some(digits.next()? * 10 + digits.next()?);
    let length = if trimmed.as_bytes().get(3) == Some(&b':') { 6 } else { 5 };
    match (number(), number(), trimmed.get(length..)) {
        (Some(hours), Some(minutes), Some(rest)) => (sign * (hours * 3600 + minutes * 60), rest),
        _ => (0, text),
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            Some(timestamp) => write!(formatter, "{timestamp}"),
            None => formatter.write_str("an unknown time"),
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
    #[case(
        "10.0.0.1 - - [22/Nov/2026:15:40:56 +0100] \"GET / HTTP/1.1\" 200 5",
        Some("2026-11-22T14:40:56Z")
    )]
    #[case("10.0.0.1 - - [22/Now/2026:15:40:56 +0000] \"GET / HTTP/1.1\" 200 5", None)]
    #[case("took [a] long time", None)]
    fn reads_access_lines(#[case] text: &str, #[case] moment: Option<&str>) {
        assert_eq!(Moment::read_access(text).map(|read| read.to_string()).as_deref(), moment);
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
    fn days_are_the_calendars() {
        for text in ["1970-01-01", "1999-12-31", "2000-02-29", "2024-03-01", "2026-11-22"] {
            let date: jiff::civil::Date = text.parse().unwrap();
            let expected = date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
            assert_eq!(Moment::read(&format!("{text}T00:00:00Z")).unwrap().0.0, expected * 1_000_000);
        }
    }

    #[test]
    fn difference_in_seconds() {
        let at = |text: &str| Moment::read(text).unwrap().0;
        assert_eq!(at("2026-11-22T15:41:01.5Z").seconds_since(at("2026-11-22T15:40:56Z")), 5);
    }
}
