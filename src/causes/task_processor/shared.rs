//! What several causes of this family share.

pub(crate) mod deployments;
pub(crate) mod diagnosis;
pub(crate) mod locks;
pub(crate) mod processors;
pub(crate) mod queue;
pub(crate) mod runs;
pub(crate) mod sql;
#[cfg(test)]
pub(crate) mod testing;
