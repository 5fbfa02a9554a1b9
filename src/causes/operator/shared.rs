//! What several causes of this family share.
