//! The way to the wanted release: where it stops, which images must be there, and what changes. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{flagsmith::upgrades, migration, observe::Observation, validate::Installation};

/// The way from what the database is migrated to.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Way {
    /// Where it stops, the wanted release last; empty where that is the only one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
    /// What changes between the two releases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Passed>,
}

/// A release whose migrations get a Job of their own.
#[derive(Debug, Serialize)]
pub(super) struct Stop {
    version: String,
    reason: String,
    image: String,
}

/// Something that changes for whoever comes from before.
#[derive(Debug, Serialize)]
pub(super) struct Passed {
    since: String,
    what: &'static str,
    /// What to do before the upgrade starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl Way {
    /// The way of an installation whose database is known.
    pub(super) fn of(installation: &Installation, observation: &Observation) -> Self {
        let step = migration::Step::of(installation, observation);
        let stops = step.iter().filter(|step| step.is_stop()).flat_map(migration::Step::stops_left);
        let from = observation.newest_recorded();
        let passed = from.into_iter().flat_map(|from| upgrades::passed(from, installation.release));
        Self {
            stops: stops
                .map(|stop| Stop {
                    version: stop.release.to_string(),
                    reason: stop.why.to_string(),
                    image: installation.api_image(stop.release),
                })
                .collect(),
            changes: passed
                .map(|change| Passed {
                    since: change.at.to_string(),
                    what: change.what,
                    remedy: change.remedy,
                })
                .collect(),
        }
    }

    /// The lines for a person.
    pub(super) fn write(&self, text: &mut String) {
        for (index, stop) in self.stops.iter().enumerate() {
            let label = if index == 0 { "stops" } else { "     " };
            let _ = writeln!(
                text,
                "{label}      {}: {}\n             image {}",
                stop.version, stop.reason, stop.image
            );
        }
        for (index, change) in self.changes.iter().enumerate() {
            let label = if index == 0 { "changes" } else { "       " };
            let _ = writeln!(text, "{label}    since {}: {}", change.since, change.what);
            if let Some(remedy) = change.remedy {
                let _ = writeln!(text, "             before: {remedy}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{fixtures, observe::WorkloadState};

    #[test]
    fn names_stops_images_and_what_to_do_before() {
        let mut observation = fixtures::empty_observation();
        let text = |strategy: &str, observation: &Observation| {
            let changes = json!({ "upgrade": { "strategy": strategy } });
            let mut text = String::new();
            Way::of(&fixtures::installation(&fixtures::spec(changes)), observation).write(&mut text);
            text
        };
        assert_eq!(text("Stepwise", &observation), "", "nothing is migrated, so nothing changes");
        let from = "2.232.0".parse().ok();
        observation.api = Some(WorkloadState { release: from, migrated: from, ..WorkloadState::default() });
        insta::assert_snapshot!(text("Stepwise", &observation));
        let direct = text("Direct", &observation);
        assert!(direct.starts_with("changes    since 2.234.2"), "{direct}");
    }
}
