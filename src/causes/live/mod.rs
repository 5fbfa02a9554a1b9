//! What the logs of pods show, among everything else that was observed.

mod logs;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod tests;

use crate::model::{Code, Component, Diagnosis, Severity};
use crate::observe::Observation;

/// What the logs of pods show.
#[must_use]
pub fn diagnose(observation: &Observation) -> Vec<Diagnosis> {
    logs::check(observation)
}

fn diagnosis(
    code: Code,
    severity: Severity,
    component: Component,
    message: String,
    evidence: Vec<String>,
    remedy: String,
) -> Diagnosis {
    Diagnosis {
        code,
        severity,
        component,
        message,
        evidence,
        remedy,
    }
}
