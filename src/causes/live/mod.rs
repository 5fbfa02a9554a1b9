//! Rules over what was observed in the cluster: one file for each family of causes.

mod logs;
mod observed;
mod pods;
mod probes;
#[cfg(test)]
mod tests;
mod timeouts;
mod workloads;

pub(crate) use pods::check as pod_problems;
pub(crate) use timeouts::Running;

use crate::model::{Code, Component, Diagnosis, Severity};
use crate::{observe::Observation, validate::Installation};

/// What the checks find that have not moved to the rooms of their causes yet.
#[must_use]
pub fn diagnose(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    found.extend(workloads::check(installation, observation));
    found.extend(timeouts::check(installation, observation));
    found.extend(logs::check(observation));
    found
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
