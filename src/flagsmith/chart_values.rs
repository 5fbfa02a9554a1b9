//! Where each value of the official chart goes: facts as data, and the page that is made of them.

use std::fmt::Write as _;

/// Every value of the chart: its name, what becomes of it, the field or variable, more words, and what brought it: `0.81`,
/// `templates` (those of 0.81.0 read it and its values.yaml lacks it), `0.82` or `later`. That none is missing is held by
/// lists of their names in tests/fixtures/official-chart/values.
const VALUES: &str = include_str!("chart_values.tsv");

const HEAD: &str = "# Values of the official chart\n\n\
    Generated from the source by `make generate`. Where each value of the official Helm chart goes in a \
    FlagsmithDeployment, and which version of the chart brought it:\n\n\
    - 0.81.0 by its own files: its values.yaml, and what only its templates read.\n\
    - 0.82.0 by its public pull requests 533 (a preStop of 20 s and 75 s of grace for the API, container ports with names) \
    and 542 (annotations of Jobs).\n\
    - What came after 0.82.0 by the values.yaml of commit 2e62c08 of its repository.\n\n\
    Of the charts that it contains (PostgreSQL, Graphite) there are the values that it names or reads itself. \
    `plan --adopt` says the same of what runs ([From the official chart](adopt.md)).\n\n\
    | value | chart | where it goes |\n|---|---|---|\n";

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    /// A field of the resource.
    Field,
    /// An environment variable.
    Variable,
    /// The operator decides it.
    Computed,
    /// There is another way to the same end.
    Otherwise,
    /// It cannot be said.
    Refused,
}

/// One value of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ChartValue {
    /// Its name, with dots.
    name: &'static str,
    /// What becomes of it.
    destination: Destination,
    /// The field or variable; empty for anything else.
    place: &'static str,
    /// Why, or what to mind.
    note: &'static str,
    /// What brought it, as the table has it.
    since: &'static str,
}

/// Every value, in the chart's order.
fn chart_values() -> impl Iterator<Item = ChartValue> {
    VALUES.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        let mut next = || parts.next();
        let name = next()?;
        let destination = match next()? {
            "field" => Destination::Field,
            "env" => Destination::Variable,
            "computed" => Destination::Computed,
            "otherwise" => Destination::Otherwise,
            _ => Destination::Refused,
        };
        Some(ChartValue { name, destination, place: next()?, note: next()?, since: next()? })
    })
}

/// The page.
#[must_use]
pub(crate) fn chart_values_markdown() -> String {
    let mut page = HEAD.to_owned();
    for ChartValue { name, destination, place, note, since } in chart_values() {
        let place = match destination {
            Destination::Field => format!("`{place}`"),
            Destination::Variable => format!("`{place}` in `spec.env`"),
            Destination::Computed => "the operator decides".to_owned(),
            Destination::Otherwise => "in another way".to_owned(),
            Destination::Refused => "cannot be said".to_owned(),
        };
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        let since = match since {
            "0.81" => "0.81.0",
            "templates" => "0.81.0, only its templates",
            "0.82" => "0.82.0",
            _ => "after 0.82.0",
        };
        writeln!(page, "| `{name}` | {since} | {place}{note} |").ok();
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::flagsmith::env;

    /// The names of all values, in lists of their own so that none is forgotten: what brought them, the older ones first.
    const NAMES: [(&str, &str); 4] = [
        ("0.81", include_str!("../../tests/fixtures/official-chart/values/0.81.txt")),
        ("templates", include_str!("../../tests/fixtures/official-chart/values/0.81-templates.txt")),
        ("0.82", include_str!("../../tests/fixtures/official-chart/values/0.82.txt")),
        ("later", include_str!("../../tests/fixtures/official-chart/values/later.txt")),
    ];

    #[test]
    fn each_value_has_one_place_and_a_word_where_that_is_needed() {
        let mut names = BTreeSet::new();
        for value in chart_values() {
            assert!(names.insert(value.name), "{} stands twice", value.name);
            let placed = matches!(value.destination, Destination::Field | Destination::Variable);
            assert_eq!(placed, !value.place.is_empty(), "{}", value.name);
            assert!(placed || !value.note.is_empty(), "{} lacks a reason", value.name);
            if value.destination == Destination::Variable {
                assert_eq!(env::decided_by(value.place), None, "{} is refused in spec.env", value.place);
            }
        }
        assert_eq!(VALUES.lines().count(), names.len(), "a row is not read");
    }

    #[test]
    fn every_value_of_every_version_is_there_and_no_other() {
        let mut expected = BTreeMap::new();
        for (since, names) in NAMES {
            for name in names.lines() {
                expected.entry(name).or_insert(since);
            }
        }
        let found: BTreeMap<&str, &str> = chart_values().map(|value| (value.name, value.since)).collect();
        let missing: Vec<_> = expected.iter().filter(|it| found.get(it.0) != Some(it.1)).collect();
        let surplus: Vec<_> = found.iter().filter(|it| expected.get(it.0) != Some(it.1)).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:#?}, surplus {surplus:#?}");
    }

    /// A list that lost half of its lines would still be equal to a table that lost the same.
    #[test]
    fn the_lists_are_whole() {
        let numbers = NAMES.map(|(_, names)| names.lines().collect::<BTreeSet<_>>().len());
        assert_eq!(numbers, [337, 52, 3, 502]);
    }
}
