//! How long something takes or waits at most, as far as that is known.

/// A time that something takes or waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many seconds.
    Seconds(i32),
    /// For ever.
    Unlimited,
    /// Nobody has said so far.
    Unknown,
}
