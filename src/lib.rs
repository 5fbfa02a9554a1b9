//! A Kubernetes operator for self-hosted Flagsmith.
//!
//! One pass over one `FlagsmithDeployment` is a straight line of steps, each a module, data only moving
//! forward: `validate` → `observe` → `diagnose` → `decide` → `build` → `apply` → `report`.
//! Only `observe`, `apply` and `report` see a Kubernetes client; the steps between are pure.

pub mod cli;
pub mod diagnose;
