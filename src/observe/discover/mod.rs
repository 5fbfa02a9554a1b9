//! An installation that somebody else made: which objects it consists of, and what it is set to. The core is pure:
//! objects in, the same [`Installation`] and [`Observation`] out as for one that the operator made.
//!
//! [`Installation`]: crate::validate::Installation
//! [`Observation`]: crate::observe::Observation

mod assemble;
mod credentials;
mod found;
mod load;
mod migrators;
mod objects;
mod select;
mod settings;
mod specification;

pub(crate) use super::pod::flagsmith_container;
pub(crate) use assemble::assemble;
pub(crate) use credentials::Sources;
pub(super) use credentials::read;
pub(crate) use found::{Found, find};
pub(crate) use load::objects;
pub(crate) use objects::Objects;
pub(crate) use select::{MIGRATE_JOB, Selected};
pub(crate) use specification::{Adoption, Literal};

#[cfg(test)]
mod tests;
