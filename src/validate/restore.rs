//! A confirmed restore, as it is to be done.

use jiff::Timestamp;

use crate::flagsmith::Release;

/// A dump to bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorePlan {
    /// The Job that made it, and without suffix the name of its file.
    pub from: String,
    /// The volume claim that the file is in.
    pub claim: String,
    /// When it was complete.
    pub made: Timestamp,
    /// The release that its database was migrated to, if it was known.
    pub release: Option<Release>,
    /// Whether what it replaces is dumped before, where the installation makes backups.
    pub backs_up: bool,
}
