//! Connections of the queue's database.

mod connections;
#[cfg(test)]
mod tests;

use super::Diagnosis;
use crate::{
    causes::{context::Context, task_processor::shared::queue::queues},
    observe::Observation,
    validate::Installation,
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let context = Context {
        installation,
        observation,
    };
    queues(&context).iter().filter_map(connections::check).collect()
}
