//! What a log shows, in words.

use super::evidence::{LogLocation, Occurrence};
use super::recurring::Failed;
use crate::model::{Code, Severity};

/// The most pieces of evidence of one diagnosis.
const EVIDENCE: usize = 6;

/// A cause in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The cause; another one than that of the sign where the case separates two readings.
    pub(crate) code: Code,
    /// How much it matters here, where it is not the usual.
    pub(crate) severity: Option<Severity>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: String,
    /// The cause that it follows from, where the log shows that one too.
    pub(crate) follows_from: Option<Code>,
}

impl Explanation {
    pub(crate) fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, severity: None, message: message.into(), remedy: remedy.into(), follows_from: None }
    }

    pub(crate) fn with(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// A cause that was found, with the places that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The cause in words.
    pub(crate) explained: Explanation,
    /// The places, the most telling first.
    pub(crate) evidence: Vec<LogLocation>,
    /// What it explains in this log, beyond what its cause explains everywhere.
    pub(crate) explains: Vec<Code>,
    /// What is left to do once what it followed from is remedied.
    pub(crate) aftermath: Option<Aftermath>,
}

/// The end of a part of a process that does not come back by itself. It follows from whatever critical cause its log
/// shows; where that has passed, only the aftermath is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aftermath {
    /// Causes that pass by themselves: it explains them, not they it.
    pub(crate) passing: &'static [Code],
    /// A sentence that is added to the remedy of the cause.
    pub(crate) then: &'static str,
}

impl Finding {
    /// A finding with these places.
    pub(crate) fn new(explained: Explanation, evidence: Vec<LogLocation>) -> Self {
        Self { explained, evidence, explains: Vec::new(), aftermath: None }
    }

    /// Whether it is left over from another finding of the same log.
    pub(crate) fn is_left_by(&self, cause: &Self) -> bool {
        self.aftermath.is_some_and(|aftermath| {
            cause.severity() == Severity::Critical && !aftermath.passing.contains(&cause.explained.code)
        })
    }

    /// Its severity: its own, or the usual one of its cause.
    pub(crate) fn severity(&self) -> Severity {
        self.explained.severity.unwrap_or_else(|| self.explained.code.cause().severity)
    }
}

/// The places that show an occurrence.
pub(crate) fn evidence(occurrence: &Occurrence) -> Vec<LogLocation> {
    let mut evidence = vec![occurrence.first.clone()];
    if occurrence.count > 1 {
        evidence.push(occurrence.last.clone());
    } else {
        evidence.extend(occurrence.others.iter().cloned());
    }
    distinct(evidence)
}

/// Kinds of failures that come back whose places are shown.
const RECURRING_SHOWN: usize = 3;

/// Where the most frequent of these came first and last.
pub(crate) fn of_recurring(faults: &[&Failed]) -> Vec<LogLocation> {
    let shown = faults.iter().take(RECURRING_SHOWN);
    distinct(shown.flat_map(|it| [it.first.clone(), it.last.clone()]).collect())
}

/// Each place once, and no more than are shown.
pub(crate) fn distinct(evidence: Vec<LogLocation>) -> Vec<LogLocation> {
    let mut kept: Vec<LogLocation> = Vec::new();
    for location in evidence {
        if kept.len() < EVIDENCE
            && !kept.iter().any(|known| (known.input, known.line) == (location.input, location.line))
        {
            kept.push(location);
        }
    }
    kept
}
