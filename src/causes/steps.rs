//! Numbers and ages in steps: a status that told them exactly would be written at every pass.

use jiff::SignedDuration;

/// Steps of an age, in seconds. An age is told as the step that it has passed.
const AGES: &[(i64, &str)] = &[
    (10, "10 s"),
    (20, "20 s"),
    (30, "30 s"),
    (60, "a minute"),
    (120, "2 minutes"),
    (300, "5 minutes"),
    (600, "10 minutes"),
    (900, "15 minutes"),
    (1800, "30 minutes"),
    (3600, "an hour"),
    (7200, "2 hours"),
    (21_600, "6 hours"),
    (43_200, "12 hours"),
    (86_400, "a day"),
    (172_800, "2 days"),
    (604_800, "a week"),
    (2_592_000, "a month"),
];

/// Up to here a number is told exactly.
const EXACT: i64 = 5;

/// `less than 10 s`, `more than 5 minutes`.
pub(crate) fn age(age: SignedDuration) -> String {
    AGES.iter()
        .rev()
        .find(|(step, _)| age.as_secs() >= *step)
        .map_or_else(|| "less than 10 s".to_owned(), |(_, name)| format!("more than {name}"))
}

/// A duration that is a setting: `60 s`, `2.5 s`.
pub(crate) fn setting(duration: SignedDuration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// `3`, `more than 20`, `more than 10,000`: 1, 2 and 5 times powers of ten.
pub(crate) fn count(number: i64) -> String {
    if number <= EXACT {
        return number.to_string();
    }
    let mut step = EXACT;
    let mut power = 10;
    'steps: loop {
        for factor in [1, 2, 5] {
            let next: i64 = power * factor;
            if next >= number {
                break 'steps;
            }
            step = next;
        }
        power *= 10;
    }
    format!("more than {}", thousands(step))
}

/// `task` or `tasks`, after their number.
pub(crate) fn tasks(number: i64) -> String {
    if number == 1 { "1 task".to_owned() } else { format!("{} tasks", count(number)) }
}

/// `once`, `3 times`, `more than 20 times`.
pub(crate) fn times(number: i64) -> String {
    match number {
        1 => "once".to_owned(),
        number => format!("{} times", count(number)),
    }
}

/// A few names, the first ones, and `, …` for the rest.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 3;
    let mut distinct: Vec<&str> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    let more = if distinct.len() > SHOWN { ", …" } else { "" };
    distinct.truncate(SHOWN);
    format!("{}{more}", distinct.join(", "))
}

fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "less than 10 s")]
    #[case(59, "more than 30 s")]
    #[case(60, "more than a minute")]
    #[case(3_000_000, "more than a month")]
    fn ages(#[case] seconds: i64, #[case] expected: &str) {
        assert_eq!(age(SignedDuration::from_secs(seconds)), expected);
    }

    #[rstest]
    #[case(0, "0")]
    #[case(5, "5")]
    #[case(6, "more than 5")]
    #[case(11, "more than 10")]
    #[case(210, "more than 200")]
    #[case(10_001, "more than 10,000")]
    #[case(56_000_000, "more than 50,000,000")]
    fn counts(#[case] number: i64, #[case] expected: &str) {
        assert_eq!(count(number), expected);
    }

    #[test]
    fn names_each_once_and_not_too_many() {
        assert_eq!(names(["a", "b", "a"]), "a, b");
        assert_eq!(names(["a", "b", "c", "d"]), "a, b, c, …");
    }
}
