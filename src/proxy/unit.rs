//! How proxies write times.

use super::limit::Limit;

/// How a time is written. What is written always names its unit where the proxy allows one: a bare number is seconds
/// for one proxy and milliseconds for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of seconds, and nothing else (`35`).
    Seconds,
    /// A number of milliseconds, and nothing else (`35000`).
    Milliseconds,
    /// `35s`; a bare number is seconds (nginx).
    Nginx,
    /// `35s`; a bare number is milliseconds (`HAProxy`).
    Haproxy,
    /// `35s` or `1m5s`; a bare number is invalid (Go). `infinity` means without limit (Contour).
    Go,
}

/// Units in milliseconds, longer names first.
const SUFFIXES: &[(&str, f64)] =
    &[("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0), ("h", 3_600_000.0), ("d", 86_400_000.0)];

impl Unit {
    /// The text for so many seconds.
    #[must_use]
    pub fn write(self, seconds: i32) -> String {
        match self {
            Self::Seconds => seconds.to_string(),
            Self::Milliseconds => (i64::from(seconds) * 1000).to_string(),
            Self::Nginx | Self::Haproxy | Self::Go => format!("{seconds}s"),
        }
    }

    /// What a text means, rounded down to whole seconds; `None` when the proxy would not take it.
    #[must_use]
    pub fn read(self, text: &str) -> Option<Limit> {
        let text = text.trim();
        let milliseconds = match self {
            Self::Seconds => text.parse::<u32>().ok().map(|number| f64::from(number) * 1000.0),
            Self::Milliseconds => text.parse::<u32>().ok().map(f64::from),
            Self::Go if text == "infinity" || text == "infinite" => return Some(Limit::Unlimited),
            Self::Go => sum(text, None),
            Self::Nginx => sum(text, Some(1000.0)),
            Self::Haproxy => sum(text, Some(1.0)),
        }?;
        let seconds = (milliseconds / 1000.0).floor().min(f64::from(i32::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "whole, not negative and bounded")]
        Some(Limit::Seconds(seconds as i32))
    }
}

/// The sum of numbers with units, in milliseconds; `bare` is what a number without unit counts.
fn sum(text: &str, bare: Option<f64>) -> Option<f64> {
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let factor = if rest.is_empty() {
            bare?
        } else {
            let letters = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (suffix, after) = rest.split_at_checked(letters)?;
            rest = after.trim_start();
            SUFFIXES.iter().find(|(name, _)| *name == suffix)?.1
        };
        total += number * factor;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Unit::Seconds, "10", Some(Limit::Seconds(10)))]
    #[case(Unit::Seconds, "10s", None)]
    #[case(Unit::Milliseconds, "65000", Some(Limit::Seconds(65)))]
    #[case(Unit::Nginx, "90", Some(Limit::Seconds(90)))]
    #[case(Unit::Nginx, "1m 30s", Some(Limit::Seconds(90)))]
    #[case(Unit::Haproxy, "65000", Some(Limit::Seconds(65)))]
    #[case(Unit::Haproxy, "2m", Some(Limit::Seconds(120)))]
    #[case(Unit::Haproxy, "", None)]
    #[case(Unit::Go, "1m5s", Some(Limit::Seconds(65)))]
    #[case(Unit::Go, "65", None)]
    #[case(Unit::Go, "infinity", Some(Limit::Unlimited))]
    #[case(Unit::Go, "soon", None)]
    fn reads_what_others_write(#[case] unit: Unit, #[case] text: &str, #[case] expected: Option<Limit>) {
        assert_eq!(unit.read(text), expected);
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(seconds in 0..=86_400, unit in proptest::sample::select(vec![
            Unit::Seconds, Unit::Milliseconds, Unit::Nginx, Unit::Haproxy, Unit::Go,
        ])) {
            prop_assert_eq!(unit.read(&unit.write(seconds)), Some(Limit::Seconds(seconds)));
        }

        #[test]
        fn never_panics(text in "\\PC*", unit in proptest::sample::select(vec![Unit::Nginx, Unit::Haproxy, Unit::Go])) {
            if let Some(Limit::Seconds(seconds)) = unit.read(&text) {
                prop_assert!(seconds >= 0);
            }
        }
    }
}
