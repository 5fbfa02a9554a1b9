//! What the user reads of one cause.

use serde::Serialize;

use super::{Code, Component, Severity};

/// One cause that was found, with what was seen and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The cause, as listed in the catalogue.
    pub code: Code,
    /// How much it matters; usually `code.severity()`.
    pub severity: Severity,
    /// The part of the installation that it speaks of.
    pub component: Component,
    /// What is wrong, in one sentence that a person understands.
    pub message: String,
    /// What was seen: a log line, an SQL result, two numbers that disagree. Already redacted.
    pub evidence: Vec<String>,
    /// The exact command or field to change.
    pub remedy: String,
}
