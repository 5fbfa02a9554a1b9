//! A Kubernetes operator for self-hosted Flagsmith.
//!
//! One pass over one `FlagsmithDeployment` is a straight line of steps: validate, observe, diagnose, decide, build,
//! apply, report. `docs/architecture.md` is the map: which module does what, and which may use which.

pub mod api;
pub mod apply;
pub mod causes;
pub mod cli;
pub mod controller;
pub mod decide;
#[cfg(test)]
mod fixtures;
pub mod flagsmith;
pub mod logs;
pub mod migration;
pub mod model;
pub mod observe;
pub mod postgres;
pub mod proxy;
pub mod report;
pub mod resources;
pub mod runtime;
pub mod timeouts;
pub mod validate;
