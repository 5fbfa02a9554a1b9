//! What the logs of pods show, among everything else that was observed.

mod logs;
#[cfg(test)]
mod observed;
#[cfg(test)]
mod tests;

use crate::model::Draft;
use crate::observe::Observation;

/// What the logs of pods show.
#[must_use]
pub fn diagnose(observation: &Observation) -> Vec<Draft> {
    logs::check(observation)
}
