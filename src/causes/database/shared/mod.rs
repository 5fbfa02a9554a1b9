//! What several causes of this family share.

mod connection;
mod holders;
mod probe;
mod secret;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use connection::{ConnectionFailure, explained, with_endpoint};
pub(crate) use holders::holders;
pub(crate) use probe::{before_a_migration, embedded_starting, probed, reachable, used_by_pods};
pub(crate) use secret::{Source, WRITTEN_AS, sources};
