//! What the parts of the observer that remember installations have in common.

use std::time::Duration;

use jiff::Timestamp;

/// Remembers installations, by their uid, from one pass to the next.
pub(super) trait Memory {
    /// What it is called in the metrics, and how many installations it knows: a memory that forgets none would grow.
    fn remembers(&self) -> (&'static str, usize);

    /// Forgets a deleted installation.
    fn forget(&self, uid: &str);

    /// When the next pass has something new to ask; `None` where that starts no pass.
    fn next_look(&self, _uid: &str, _now: Timestamp) -> Option<Duration> {
        None
    }
}
