//! A Kubernetes operator for self-hosted Flagsmith.
//!
//! One pass over one `FlagsmithDeployment` is a straight line of steps, each a module, data only moving
//! forward: `validate` → `observe` → `diagnose` → `decide` → `build` → `apply` → `report`.
//! Only `observe`, `apply` and `report` see a Kubernetes client; the steps between are pure.

pub mod api;
pub mod apply;
pub mod build;
pub mod child;
pub mod cli;
pub mod controller;
pub mod decide;
pub mod diagnose;
#[cfg(test)]
mod fixtures;
pub mod flagsmith;
mod hex;
pub mod observe;
pub mod proxy;
pub mod report;
pub mod telemetry;
pub mod timeouts;
pub mod validate;
