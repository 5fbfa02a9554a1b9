//! The checks of the exposure that have not moved to the rooms of their causes yet.

mod allowed_hosts;
#[cfg(test)]
mod tests;

pub(super) use super::{Code, Component, Diagnosis, Severity, diagnosis};

use crate::{observe::Observation, validate::Installation};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    allowed_hosts::check(installation, observation)
        .into_iter()
        .collect()
}
