//! What the status says differently in each mode.

use super::condition::{ConditionType, Verdict};
use crate::{
    api::{BackupStatus, MigrationStatus, RestoreStatus, TimeoutsStatus, UpgradeStatus},
    model::Component,
};

/// What the status says differently of an installation that the operator makes and of one that it only observes.
/// Which of the two it is, is asked once, in [`super::status`].
pub(super) trait ModeStatus {
    /// The summary; `parts` are the other conditions.
    fn ready(&self, parts: &[(ConditionType, Verdict)]) -> Verdict;

    /// Whether every migration is applied.
    fn migrations(&self) -> Verdict;

    /// A component without a Deployment, of which nothing critical is known.
    fn absent(&self, component: Component) -> Verdict;

    /// The chain of timeouts, when none of its rules was seen to be broken.
    fn timeouts(&self) -> Verdict;

    fn migration(&self) -> Option<MigrationStatus>;

    fn upgrade(&self) -> Option<UpgradeStatus>;

    fn migration_history(&self) -> Vec<MigrationStatus>;

    fn backups(&self) -> Vec<BackupStatus>;

    fn restore(&self) -> Option<RestoreStatus>;

    fn timeouts_status(&self) -> Option<TimeoutsStatus>;
}
