//! The way to another release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the database gets to a newer release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeSpec {
    /// Direct: one Job applies every migration up to `version`, except where a release in between is known to be required.
    /// Stepwise: one Job at each release that is known to make a long upgrade easier to follow. Pods change at the last one,
    /// and before it only where older pods are known not to work on what is migrated.
    pub strategy: UpgradeStrategy,
    /// Releases to stop at as well, in any order, for example "2.212.1". Those that do not lie between the release of the
    /// database and `version` do not count, so they may stay when the upgrade is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 32)))]
    pub via: Vec<String>,
}

/// How a database gets to a newer release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradeStrategy {
    /// In one Job.
    #[default]
    Direct,
    /// In one Job for each release that the rules name.
    Stepwise,
}

/// An upgrade by more than one release, until it is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// The release that serves.
    pub from: String,
    /// Every stop on the way, `version` last.
    #[schemars(length(max = 64))]
    pub stops: Vec<StopStatus>,
    /// The releases whose pods serve on the database as it is, as far as anything is known against them.
    #[schemars(length(max = 64))]
    pub can_serve: Vec<String>,
}

/// One release at which the database is migrated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StopStatus {
    /// The release.
    pub version: String,
    /// How it stands.
    pub state: StopState,
    /// Why it is a stop.
    pub reason: String,
}

/// How a stop stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StopState {
    /// Stops before it are not done.
    #[default]
    Waiting,
    /// The next one; `status.migration` tells more.
    Current,
    /// Its migrations are applied.
    Applied,
    /// Its migration has failed; the database is at the stop before, and whatever this one has applied stays.
    Failed,
}
