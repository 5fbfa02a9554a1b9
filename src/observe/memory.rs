//! What the parts of the observer that remember installations have in common.

use std::time::Duration;

use jiff::Timestamp;

/// Remembers installations, by their uid, from one pass to the next.
pub(super) trait Memory {
    /// Forgets a deleted installation.
    fn forget(&self, uid: &str);

    /// When the next pass has something new to ask; `None` where that starts no pass.
    fn next_look(&self, _uid: &str, _now: Timestamp) -> Option<Duration> {
        None
    }
}
