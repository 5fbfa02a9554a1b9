//! Causes that only installations have which somebody else made: the operator's own never come to this.

mod migrators;
mod pooler;
mod presence;
mod processor;
mod replicas;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timeouts_tests;

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{observe::Observation, validate::Installation};

pub use presence::unseen;

/// Adds to what the rules for every installation have found.
pub(super) fn check(installation: &Installation, seen: &Observation, found: &mut Vec<Diagnosis>) {
    pooler::check(installation, seen, found);
    found.extend(presence::check(installation, seen));
    found.extend(presence::release(installation, seen));
    found.extend(settings::check(installation, seen));
    processor::check(installation, seen, found);
    found.extend(migrators::check(installation, seen));
    found.extend(replicas::check(installation, seen));
}

/// Once the logs have been heard: what they say of a race belongs to the race.
pub(super) fn with_logs(seen: &Observation, found: &mut Vec<Diagnosis>) {
    migrators::absorb(seen, found);
}
