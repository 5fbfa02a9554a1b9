//! Rules over what was observed in the cluster: one file for each family of causes.

mod backup;
mod database;
mod downgrade;
mod exposure;
mod logs;
mod migration;
mod observed;
mod pods;
mod preflight;
#[cfg(test)]
mod preflight_tests;
mod refusal;
mod secrets;
mod tasks;
#[cfg(test)]
mod tests;
mod timeouts;
mod workloads;

pub(crate) use database::used_by_pods;
pub use observed::unseen;
pub(crate) use pods::last_message;
pub use refusal::{refused, refused_last};
pub(crate) use tasks::{age, stuck};

use crate::model::{Code, Component, Diagnosis, Severity};
use crate::{observe::Observation, validate::Installation};

/// What the checks find that have not moved to the rooms of their causes yet.
#[must_use]
pub fn diagnose(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    found.extend(secrets::check(installation, observation));
    found.extend(database::check(installation, observation));
    if installation.managed_by.is_operator() {
        migrations(installation, observation, &mut found);
    }
    found.extend(workloads::check(installation, observation));
    found.extend(tasks::check(installation, observation));
    found.extend(exposure::check(installation, observation));
    found.extend(timeouts::check(installation, observation));
    if !installation.managed_by.is_operator() {
        observed::check(installation, observation, &mut found);
    }
    found.extend(logs::check(observation));
    if !installation.managed_by.is_operator() {
        observed::with_logs(observation, &mut found);
    }
    found
}

/// What keeps the operator from migrating.
fn migrations(installation: &Installation, observation: &Observation, found: &mut Vec<Diagnosis>) {
    found.extend(downgrade::check(installation, observation));
    found.extend(migration::check(installation, observation));
    found.extend(backup::check(installation, observation));
    for obstacle in preflight::check(installation, observation) {
        // What a migration has failed of and what stands in the way of the next one is one cause.
        match found.iter_mut().find(|known| known.code == obstacle.code) {
            Some(known) => known.evidence.extend(obstacle.evidence),
            None => found.push(obstacle),
        }
    }
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
