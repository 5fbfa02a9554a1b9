//! A diagnosis of the task processor.

use crate::model::{Code, Component, Draft, Severity};

/// A diagnosis that concerns the task processor.
pub(crate) fn diagnosis(
    code: Code,
    severity: Severity,
    message: impl Into<String>,
    evidence: Vec<String>,
    remedy: impl Into<String>,
) -> Draft {
    Draft {
        code,
        severity,
        component: Component::TaskProcessor,
        message: message.into(),
        evidence,
        remedy: remedy.into(),
    }
}
