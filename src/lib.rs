//! A Kubernetes operator for self-hosted Flagsmith.
//!
//! One pass over one `FlagsmithDeployment` is a straight line of steps: validate, observe, diagnose, decide, build,
//! apply, report. `docs/architecture.md` is the map: which module does what, and which may use which.

// What nothing outside can reach is `pub(crate)`, so that the compiler sees what is no longer used. (Not for the whole
// package: test programs share helpers as `pub`.)
#![warn(unreachable_pub)]

pub mod api;
pub mod apply;
pub mod causes;
pub mod cli;
pub mod controller;
pub mod decide;
#[cfg(test)]
mod fixtures;
mod flagsmith;
mod logs;
mod migration;
pub mod model;
pub mod observe;
pub mod postgres;
mod proxy;
mod report;
pub mod resources;
pub mod runtime;
mod timeouts;
pub mod validate;
