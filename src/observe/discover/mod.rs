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

pub use assemble::assemble;
pub use credentials::Sources;
pub(super) use credentials::read;
pub use found::{Found, find};
pub use load::objects;
pub use objects::Objects;
pub use select::Selected;
pub use specification::{Adoption, adoption};

#[cfg(test)]
mod tests;
