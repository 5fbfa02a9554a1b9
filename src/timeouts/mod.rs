//! The timeouts between a client and a query: which there are, the rules that they obey, and the values that the
//! operator gives them. Pure, and used by two steps: `decide` computes the chain of an installation, `diagnose` holds
//! what runs to the same rules.

mod chain;
mod front;
pub(crate) mod rules;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use chain::{LIVENESS_PERIOD, Timeouts, liveness_failures};
pub(crate) use front::{Annotation, Front, entry};
pub(crate) use values::Values;
