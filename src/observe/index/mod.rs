//! What the watches have brought, kept small: one entry for each object, with what passes ask of it, and its text where
//! that has still to be compared.
//!
//! Decoded objects of the Kubernetes types take ten times the memory of their JSON (20 KB against 2 KB for a
//! Deployment), and a pass needs little of each.

mod group;
mod object;
mod priority;
mod prune;
mod seen;
mod snapshot;
mod store;
mod watched;

pub use object::Object;
pub(super) use object::controller;
pub(crate) use prune::Selector;
pub(crate) use seen::JobSeen;
pub(super) use seen::{JobPurpose, ObjectSeen, PodSeen};
pub(crate) use snapshot::{Key, Snapshot};
pub(crate) use store::{Change, Index};
pub use watched::Watched;
