//! Pods that do not answer their probes.

use super::{Component, Diagnosis, probes};
use crate::{observe::Observation, validate::Installation};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    [
        ("task-processor", Component::TaskProcessor),
        ("api", Component::Api),
        ("frontend", Component::Frontend),
    ]
    .into_iter()
    .filter_map(|(label, component)| probes::check(installation, observation, label, component))
    .collect()
}
