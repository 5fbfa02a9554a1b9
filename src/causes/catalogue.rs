//! Every cause in words: the source of `explain CODE`, of `docs/causes.md` and of the conditions' reasons.

mod database;
mod gunicorn;
mod migrations;
mod operator;
mod task_processor;
mod workloads;

use std::fmt::Write as _;

use crate::model::{Code, Severity};

/// What is known of one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The cause.
    pub code: Code,
    /// How much it usually matters.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What happens, and why.
    pub explanation: &'static str,
    /// Whether it passes by itself, in a sentence.
    pub passes: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// What confirms or refutes it.
    pub confirm: &'static str,
}

/// The families in the order of the documentation.
const FAMILIES: &[(&str, &[Entry])] = &[
    ("Database", database::ENTRIES),
    ("Migrations", migrations::ENTRIES),
    ("Task processor", task_processor::ENTRIES),
    ("502s and timeouts", gunicorn::ENTRIES),
    ("Workloads", workloads::ENTRIES),
    ("Operator", operator::ENTRIES),
];

/// The entry of a cause.
#[must_use]
pub fn entry(code: Code) -> &'static Entry {
    entries()
        .find(|entry| entry.code == code)
        .unwrap_or(&UNDOCUMENTED)
}

/// All entries, in the order of the documentation.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|(_, entries)| entries.iter())
}

/// Only there so that a lookup cannot fail; a test proves that every code has its own entry.
const UNDOCUMENTED: Entry = Entry {
    code: Code::InvalidSpec,
    severity: Severity::Warning,
    title: "",
    explanation: "",
    passes: "",
    remedy: "",
    confirm: "",
};

/// Where the documentation of a cause is, for example `docs/causes.md#databaseunreachable`.
#[must_use]
pub fn docs(code: Code) -> String {
    format!("docs/causes.md#{}", code.as_str().to_ascii_lowercase())
}

/// The text of `docs/causes.md`.
#[must_use]
pub fn causes_markdown() -> String {
    let mut text = String::from(
        "# Causes\n\n\
         <!-- Generated from src/causes/catalogue by `make generate`; do not edit. -->\n\n\
         Every cause that the operator and `flagsmith-operator diagnose` name, with what confirms it and what to do. \
         `flagsmith-operator explain CODE` prints the same. ROLE, NAME, POD and the like stand for your own names; \
         SQL is for psql on Flagsmith's database.\n",
    );
    for (family, entries) in FAMILIES {
        let _ = write!(text, "\n## {family}\n");
        for entry in *entries {
            let _ = write!(
                text,
                "\n### {}\n\n**{}** ({})\n\n{}\n\n- **Passes by itself:** {}\n- **Confirm:** {}\n- **Do:** {}\n",
                entry.code,
                entry.title,
                entry.severity.as_str(),
                entry.explanation,
                entry.passes,
                entry.confirm,
                entry.remedy,
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_exactly_one_entry_in_the_order_of_the_codes() {
        let documented: Vec<Code> = entries().map(|entry| entry.code).collect();
        assert_eq!(documented, Code::ALL);
    }

    #[test]
    fn every_entry_says_everything() {
        for entry in entries() {
            for text in [entry.explanation, entry.passes, entry.remedy, entry.confirm] {
                assert!(
                    text.len() >= 12 && text.ends_with(['.', ';', ')', '"']),
                    "{}: {text}",
                    entry.code
                );
                assert!(
                    !text.contains('!') && !text.to_lowercase().contains("please"),
                    "{}: {text}",
                    entry.code
                );
            }
            assert!(
                !entry.title.is_empty() && !entry.title.ends_with('.'),
                "{}",
                entry.code
            );
        }
    }

    #[test]
    fn documentation_is_current() {
        let written = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/causes.md"));
        assert!(
            written == causes_markdown(),
            "docs/causes.md differs from the catalogue: run make generate"
        );
    }

    #[test]
    fn anchors_are_those_of_the_headings() {
        let text = causes_markdown();
        for code in Code::ALL {
            assert!(text.contains(&format!("\n### {code}\n")));
            assert_eq!(
                docs(*code),
                format!("docs/causes.md#{}", code.as_str().to_lowercase())
            );
        }
    }
}
