//! What comes of a Job that is to be created.

/// What came of a Job that is to be created.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Creation {
    /// It was.
    Created,
    /// It is there already.
    Exists,
    /// A task processor that was seen to stand still does not: the watches will show it.
    TooEarly,
    /// Something else works on the database; what, for the owner of this installation.
    Held(String),
}
