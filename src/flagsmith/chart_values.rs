//! Where each value of the official chart goes: facts as data, and the page that is made of them.

use std::fmt::Write as _;

/// Every value of the chart's values.yaml: its name, what becomes of it, the field or variable, more words, and the version
/// of the chart that has it, or `templates` where only its templates know it.
const VALUES: &str = include_str!("chart_values.tsv");

const HEAD: &str = "# Values of the official chart\n\n\
    Generated from the source by `make generate`. Where each value of the official Helm chart goes in a \
    FlagsmithDeployment: those of 0.81.0, whose files are public, and what pull request 533 of its repository says of \
    0.82.0 (a preStop of 20 s and 75 s of grace for the API, named container ports, annotations of Jobs). `plan --adopt` \
    says the same of what runs ([From the official chart](adopt.md)).\n\n\
    | value | where it goes |\n|---|---|\n";

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
        Some(ChartValue { name, destination, place: next()?, note: next()? })
    })
}

/// The page.
#[must_use]
pub(crate) fn chart_values_markdown() -> String {
    let mut page = HEAD.to_owned();
    for ChartValue { name, destination, place, note } in chart_values() {
        let place = match destination {
            Destination::Field => format!("`{place}`"),
            Destination::Variable => format!("`{place}` in `spec.env`"),
            Destination::Computed => "the operator decides".to_owned(),
            Destination::Otherwise => "in another way".to_owned(),
            Destination::Refused => "cannot be said".to_owned(),
        };
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        writeln!(page, "| `{name}` | {place}{note} |").ok();
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flagsmith::env;

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
        // The leaves of values.yaml of 0.81.0, and what only templates or 0.82.0 know.
        assert_eq!(names.len(), 337 + 6);
        assert_eq!(VALUES.lines().count(), names.len());
    }
}
