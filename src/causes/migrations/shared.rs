//! What several causes of this family share.

pub(crate) mod conflict;
pub(crate) mod job;
pub(crate) mod preflight;
pub(crate) mod snippets;
#[cfg(test)]
pub(crate) mod testing;
