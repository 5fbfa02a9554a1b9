//! What runs around the pipeline: who may write, when to try again, and what the process says of itself.

pub mod admin;
mod managed;
mod observed;
mod primaries;
pub mod primary;
pub mod readiness;
pub mod reconcile;
pub mod run;
mod triggers;
