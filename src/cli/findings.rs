//! Diagnoses, for a person and for a program.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::standing::{OperatorReport, Standing};
use crate::model::{Diagnosis, DocsUrl, Severity, Text};

/// What was found, by whom, and what could not be seen.
#[derive(Clone, Copy)]
pub(super) struct Findings<'a> {
    /// The most likely or most severe first.
    pub(super) diagnoses: &'a [Diagnosis],
    /// What could not be seen, and how it can be; empty for logs, which are all that was asked for.
    pub(super) not_seen: &'a [String],
    /// What the operator's part in it is worth; absent where there is no resource.
    pub(super) standing: Option<&'a Standing>,
}

/// The same as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    diagnoses: Vec<Reported<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    not_seen: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<OperatorReport>,
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
    /// Since when the operator has seen it; absent where only this look has.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl<'a> Findings<'a> {
    /// As programs read them.
    pub(super) fn report(self, docs: &DocsUrl) -> Report<'a> {
        let since = |it: &Diagnosis| self.standing?.known(it)?.since;
        Report {
            diagnoses: self.diagnoses.iter().map(|it| Reported::of(it, docs, since(it))).collect(),
            not_seen: self.not_seen,
            operator: self.standing.map(Standing::report),
        }
    }

    /// As a person reads them; `nothing` is said where all that was asked for was seen, and nothing is wrong.
    pub(super) fn text(self, nothing: &str) -> String {
        let mut text = if !self.diagnoses.is_empty() {
            let blocks: Vec<String> = self.diagnoses.iter().map(|it| self.block(it)).collect();
            blocks.join("\n")
        } else if self.not_seen.is_empty() {
            format!("{nothing}\n")
        } else {
            "Nothing wrong was found in what could be looked at, which is not everything.\n".to_owned()
        };
        for (index, line) in self.not_seen.iter().enumerate() {
            let label = if index == 0 { "\nnot seen" } else { "        " };
            let _ = writeln!(text, "{label}   {line}");
        }
        if let Some(standing) = self.standing {
            let _ = writeln!(text, "\n{}", standing.line());
        }
        text
    }

    fn block(self, diagnosis: &Diagnosis) -> String {
        let severity = diagnosis.severity.as_str().to_lowercase();
        let style = style(diagnosis.severity);
        let mut block = format!("{style}{}{style:#} ({severity})\n  {}\n", diagnosis.code, diagnosis.message);
        for (index, evidence) in diagnosis.evidence.iter().enumerate() {
            let label = if index == 0 { "seen" } else { "    " };
            let _ = writeln!(block, "  {label}   {evidence}");
        }
        if let Some(known) = self.standing.and_then(|standing| standing.known(diagnosis)) {
            let since = known.since.map_or_else(String::new, |since| format!(", since {since:.0}"));
            let _ = writeln!(block, "  by     the operator{since}");
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
}

impl<'a> Reported<'a> {
    fn of(diagnosis: &'a Diagnosis, docs: &DocsUrl, since: Option<Timestamp>) -> Self {
        Self {
            code: diagnosis.code.as_str(),
            severity: diagnosis.severity.as_str(),
            component: diagnosis.component.as_str(),
            message: &diagnosis.message,
            evidence: &diagnosis.evidence,
            remedy: &diagnosis.remedy,
            docs: docs.cause(diagnosis.code),
            since,
        }
    }
}

/// Diagnoses, as a field of something larger that programs read.
#[derive(Debug, Default)]
pub(super) struct Documented {
    /// The most severe first.
    pub(super) diagnoses: Vec<Diagnosis>,
    /// Where they are documented.
    pub(super) docs: DocsUrl,
}

impl Serialize for Documented {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.diagnoses.iter().map(|it| Reported::of(it, &self.docs, None)))
    }
}

/// The colour of a severity.
pub(super) fn style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Info => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}
