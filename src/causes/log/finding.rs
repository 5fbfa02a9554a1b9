//! What a log shows, in words.

use super::evidence::LogLocation;
use crate::model::{Code, Severity};

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
}

impl Explanation {
    pub(crate) fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            severity: None,
            message: message.into(),
            remedy: remedy.into(),
        }
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
}

impl Finding {
    /// A finding with these places.
    pub(crate) fn new(explained: Explanation, evidence: Vec<LogLocation>) -> Self {
        Self {
            explained,
            evidence,
            explains: Vec::new(),
        }
    }

    /// Its severity: its own, or the usual one of its cause.
    pub(crate) fn severity(&self) -> Severity {
        self.explained
            .severity
            .unwrap_or_else(|| self.explained.code.cause().severity)
    }
}
