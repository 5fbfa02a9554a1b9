//! What the watches have brought, kept small: one entry for each object, its body as bytes.
//!
//! Decoded objects of the Kubernetes types take ten times the memory of their JSON (20 KB against 2 KB for a
//! Deployment), and a pass needs each of them for a moment only.

mod object;
mod priority;
mod prune;
mod snapshot;
mod status_hash;
mod store;
mod watched;

pub use object::Object;
pub(super) use object::controller;
pub(crate) use prune::Selector;
pub(crate) use snapshot::{Key, Snapshot};
pub(crate) use store::{Change, Index};
pub use watched::Watched;
