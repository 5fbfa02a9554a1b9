//! What several causes of this family share.

pub(crate) mod running;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod workers;
