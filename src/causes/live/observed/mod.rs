//! Causes that only installations have which somebody else made: the operator's own never come to this.

mod migrators;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timeouts_tests;

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{observe::Observation, validate::Installation};

/// Adds to what the rules for every installation have found.
pub(super) fn check(installation: &Installation, observation: &Observation, found: &mut Vec<Diagnosis>) {
    found.extend(migrators::check(installation, observation));
}

/// Once the logs have been heard: what they say of a race belongs to the race.
pub(super) fn with_logs(observation: &Observation, found: &mut Vec<Diagnosis>) {
    migrators::absorb(observation, found);
}
