//! What comes of a Job that is to be created.

/// What came of a Job that is to be created.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Creation {
    /// It was.
    Created,
    /// It is there already.
    Exists,
    /// Something else works on the database; what, for the owner of this installation.
    Held(String),
}
