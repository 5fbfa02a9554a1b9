//! Timeouts and sizes of what runs: one file for each cause. The rules are those by which the operator computes its own
//! settings, so that an installation of anybody's is judged alike.

mod grace;
mod keep_alive;
mod liveness;
mod pre_stop;
mod proxy_timeout;
mod running;
mod saturation;
mod settings;
mod sizing;
#[cfg(test)]
mod tests;
mod unknown;
mod worker_class;

pub(super) use super::{Code, Component, Diagnosis, Severity, diagnosis};
pub(crate) use running::Running;
use running::seconds;

use crate::{observe::Observation, validate::Installation};

/// Everything that is wrong with the timeouts of the API and of what stands in front of it.
pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found: Vec<Diagnosis> = Vec::new();
    found.extend(liveness::check(installation, observation));
    if let Some(running) = Running::of(installation, observation) {
        found.extend(proxy_timeout::check(installation, observation, &running));
        found.extend(keep_alive::check(installation, &running));
        found.extend(grace::check(&running));
        found.extend(pre_stop::check(&running));
        found.extend(settings::check(&running));
        found.extend(worker_class::check(&running));
        found.extend(unknown::check(installation, &running));
        found.extend(saturation::check(installation, observation, &running));
        found.extend(sizing::check(&running));
    }
    found
}
