//! What runs around the pipeline: who may write, when to try again, and what the process says of itself.

pub mod admin;
pub mod guarded_resource;
mod managed;
mod observed;
pub mod readiness;
pub mod reconcile;
mod resource_stream;
pub mod run;
mod triggers;
