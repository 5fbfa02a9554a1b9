//! Causes that only installations have which somebody else made: the operator's own never come to this.

mod migrators;
mod pooler;
mod presence;
mod processor;
mod replicas;
mod settings;
#[cfg(test)]
mod tests;

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{observe::Observation, validate::Installation};

pub use presence::unseen;

/// Adds to what the rules for every installation have found.
pub(super) fn check(installation: &Installation, observation: &Observation, found: &mut Vec<Diagnosis>) {
    pooler::check(installation, observation, found);
    found.extend(presence::check(installation, observation));
    found.extend(presence::release(installation, observation));
    found.extend(settings::check(installation, observation));
    processor::check(installation, observation, found);
    found.extend(migrators::check(installation, observation));
    found.extend(replicas::check(installation, observation));
}

/// Once the logs have been heard: what they say of a race belongs to the race.
pub(super) fn with_logs(observation: &Observation, found: &mut Vec<Diagnosis>) {
    migrators::absorb(observation, found);
}
