//! What is wrong with a specification.

use crate::model::{Code, Component, Diagnosis, Draft, Severity};

/// One thing in the specification that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `InvalidSpec` or `UnsupportedVersion`.
    pub code: Code,
    /// The field, for example `spec.api.env[2].name`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl From<Problem> for Diagnosis {
    fn from(problem: Problem) -> Self {
        Self::from(Draft {
            code: problem.code,
            severity: Severity::Critical,
            component: Component::Operator,
            message: format!("{}: {}", problem.field, problem.message),
            evidence: Vec::new(),
            remedy: problem.remedy,
        })
    }
}

impl Problem {
    pub(super) fn invalid(field: &str, message: &str, remedy: &str) -> Self {
        Self {
            code: Code::InvalidSpec,
            field: field.to_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}
