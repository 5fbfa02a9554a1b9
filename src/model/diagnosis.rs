//! What the user reads of one cause.

use serde::Serialize;

use super::{
    Code, Component, Severity,
    text::{EVIDENCE, MESSAGE, REMEDY, Text},
};

/// One cause that was found, with what was seen and what to do about it: fit to be shown. It is made from a [`Draft`], and
/// its texts only by way of [`Text`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The cause.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The part of the installation that it speaks of.
    pub component: Component,
    /// What is wrong, in one sentence that a person understands.
    pub message: Text,
    /// What was seen: a log line, an SQL result, two numbers that disagree.
    pub evidence: Vec<Text>,
    /// The exact command or field to change.
    pub remedy: Text,
}

/// A diagnosis as a cause composes it: its texts may hold whatever databases, logs and the cluster said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// See [`Diagnosis::code`].
    pub code: Code,
    /// See [`Diagnosis::severity`].
    pub severity: Severity,
    /// See [`Diagnosis::component`].
    pub component: Component,
    /// See [`Diagnosis::message`].
    pub message: String,
    /// See [`Diagnosis::evidence`].
    pub evidence: Vec<String>,
    /// See [`Diagnosis::remedy`]; foreign values in it are quoted where they are put in.
    pub remedy: String,
}

impl From<Draft> for Diagnosis {
    fn from(draft: Draft) -> Self {
        Self {
            code: draft.code,
            severity: draft.severity,
            component: draft.component,
            message: Text::composed(&draft.message, MESSAGE),
            evidence: draft.evidence.iter().map(|line| Text::new(line, EVIDENCE)).collect(),
            remedy: Text::composed(&draft.remedy, REMEDY),
        }
    }
}

impl From<Diagnosis> for Draft {
    fn from(diagnosis: Diagnosis) -> Self {
        Self {
            code: diagnosis.code,
            severity: diagnosis.severity,
            component: diagnosis.component,
            message: diagnosis.message.into(),
            evidence: diagnosis.evidence.into_iter().map(String::from).collect(),
            remedy: diagnosis.remedy.into(),
        }
    }
}
