//! The third step: what is wrong, what was seen, what to do. Pure functions from observations and logs to diagnoses.

pub mod catalogue;
mod investigation;
pub mod live;
mod ranking;
mod rules;

pub use investigation::{Investigation, diagnose_log};
pub use ranking::rank;
