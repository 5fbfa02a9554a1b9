//! Rules over what was observed in the cluster: one file for each family of causes.

mod database;
mod exposure;
mod logs;
mod observed;
mod pods;
mod preflight;
mod probes;
mod refusal;
mod secrets;
mod tasks;
#[cfg(test)]
mod tests;
mod timeouts;
mod workloads;

pub(crate) use database::used_by_pods;
pub use observed::unseen;
pub(crate) use pods::{check as pod_problems, last_message, last_status, last_words};
pub use refusal::{refused, refused_last};
pub(crate) use tasks::{age, stuck};
pub(crate) use timeouts::Running;

use crate::model::{Code, Component, Diagnosis, Severity};
use crate::{observe::Observation, validate::Installation};

/// What the checks find that have not moved to the rooms of their causes yet.
#[must_use]
pub fn diagnose(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    found.extend(secrets::check(installation, observation));
    found.extend(database::check(installation, observation));
    found.extend(preflight::check(installation, observation));
    found.extend(workloads::check(installation, observation));
    found.extend(tasks::check(installation, observation));
    found.extend(exposure::check(installation, observation));
    found.extend(timeouts::check(installation, observation));
    if !installation.managed_by.is_operator() {
        observed::check(installation, observation, &mut found);
    }
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
