//! Diagnoses, for a person and for a program.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::{Serialize, Serializer};

use crate::{
    causes::docs,
    model::{Diagnosis, Severity, Text},
};

/// Diagnoses as programs read them, the most likely or most severe first.
#[derive(Serialize)]
pub struct Report<'a> {
    diagnoses: Vec<Reported<'a>>,
    /// What could not be seen, and how it can be; absent for logs, which are all that was asked for.
    #[serde(rename = "notSeen", skip_serializing_if = "<[String]>::is_empty")]
    not_seen: &'a [String],
}

#[derive(Serialize)]
struct Reported<'a> {
    code: &'a str,
    severity: &'a str,
    component: &'a str,
    message: &'a str,
    evidence: &'a [Text],
    remedy: &'a str,
    docs: String,
}

impl<'a> Report<'a> {
    /// A report of these diagnoses, with what could not be seen.
    pub fn new(diagnoses: &'a [Diagnosis], not_seen: &'a [String]) -> Self {
        Self {
            diagnoses: diagnoses.iter().map(Reported::of).collect(),
            not_seen,
        }
    }
}

impl<'a> Reported<'a> {
    fn of(diagnosis: &'a Diagnosis) -> Self {
        Self {
            code: diagnosis.code.as_str(),
            severity: diagnosis.severity.as_str(),
            component: diagnosis.component.as_str(),
            message: &diagnosis.message,
            evidence: &diagnosis.evidence,
            remedy: &diagnosis.remedy,
            docs: docs(diagnosis.code),
        }
    }
}

/// Diagnoses as programs read them, as a field of something larger.
pub fn serialize<S: Serializer>(diagnoses: &[Diagnosis], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(diagnoses.iter().map(Reported::of))
}

/// Diagnoses as blocks of text, and what could not be seen.
pub fn text(diagnoses: &[Diagnosis], not_seen: &[String], nothing: &str) -> String {
    let mut text = if diagnoses.is_empty() {
        format!("{nothing}\n")
    } else {
        let blocks: Vec<String> = diagnoses.iter().map(block).collect();
        blocks.join("\n")
    };
    for (index, line) in not_seen.iter().enumerate() {
        let label = if index == 0 { "\nnot seen" } else { "        " };
        let _ = writeln!(text, "{label}   {line}");
    }
    text
}

/// The colour of a severity.
pub fn style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Info => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

fn block(diagnosis: &Diagnosis) -> String {
    let severity = match diagnosis.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let style = style(diagnosis.severity);
    let mut block = format!(
        "{style}{}{style:#} ({severity})\n  {}\n",
        diagnosis.code, diagnosis.message
    );
    for (index, evidence) in diagnosis.evidence.iter().enumerate() {
        let label = if index == 0 { "seen" } else { "    " };
        let _ = writeln!(block, "  {label}   {evidence}");
    }
    let _ = writeln!(
        block,
        "  do     {}\n  more   {} explain {}",
        diagnosis.remedy,
        super::context::program(),
        diagnosis.code
    );
    block
}
