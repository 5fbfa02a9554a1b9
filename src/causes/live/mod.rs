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
pub(crate) use pods::last_message;
pub use refusal::{refused, refused_last};
pub(crate) use tasks::{age, stuck};
pub(crate) use timeouts::Running;

use crate::{
    causes::rank,
    model::{Code, Component, Diagnosis, Severity},
};
use crate::{observe::Observation, validate::Installation};

/// Everything that is wrong with an installation, as far as this observation shows, the most severe first.
#[must_use]
pub fn diagnose(installation: &Installation, seen: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    found.extend(secrets::check(installation, seen));
    found.extend(database::check(installation, seen));
    if installation.tool.is_resource() {
        migrations(installation, seen, &mut found);
    }
    found.extend(workloads::check(installation, seen));
    found.extend(tasks::check(installation, seen));
    found.extend(exposure::check(installation, seen));
    found.extend(timeouts::check(installation, seen));
    if !installation.tool.is_resource() {
        observed::check(installation, seen, &mut found);
    }
    found.extend(logs::check(seen));
    if !installation.tool.is_resource() {
        observed::with_logs(seen, &mut found);
    }
    let mut found = rank(found);
    sort(&mut found);
    found
}

/// What keeps the operator from migrating.
fn migrations(installation: &Installation, seen: &Observation, found: &mut Vec<Diagnosis>) {
    found.extend(downgrade::check(installation, seen));
    found.extend(migration::check(installation, seen));
    found.extend(backup::check(installation, seen));
    for obstacle in preflight::check(installation, seen) {
        // What a migration has failed of and what stands in the way of the next one is one cause.
        match found.iter_mut().find(|known| known.code == obstacle.code) {
            Some(known) => known.evidence.extend(obstacle.evidence),
            None => found.push(obstacle),
        }
    }
}

/// The most severe first; within a severity in the order of the rules, causes before what follows from them.
pub fn sort(diagnoses: &mut [Diagnosis]) {
    diagnoses.sort_by_key(|diagnosis| diagnosis.severity);
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
