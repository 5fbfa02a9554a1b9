//! What runs around the pipeline: who may write, when to try again, and what the process says of itself.

pub mod admin;
mod context;
mod error;
mod guarded_resource;
mod managed;
mod next;
mod observed;
pub mod readiness;
mod reconcile;
mod resource_stream;
pub mod run;
mod triggers;
