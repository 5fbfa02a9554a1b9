//! Which attempt at a migration is due: a Job that failed of what it was given is made again when that has changed.

use crate::{
    api::{AwaitedChange, Circumstance, MigrationResult},
    observe::{JobState, Observation},
    validate::Installation,
};

/// The most attempts that begin by themselves. Each follows a change that somebody made; that somebody may be a program
/// that writes a new password every hour, and a Job's name has room for two digits.
const MOST: u32 = 99;

/// What a Job was given of it.
pub(crate) fn given(what: Circumstance, job: &JobState) -> Option<AwaitedChange> {
    let given = match what {
        Circumstance::Credentials => job.credentials.clone()?,
        Circumstance::MemoryLimit => job.memory_limit.clone().unwrap_or_default(),
    };
    Some(AwaitedChange { what, given })
}

/// Whether a new Job would be given something else. What cannot be read has not changed.
fn has_changed(awaited: &AwaitedChange, installation: &Installation, observation: &Observation) -> bool {
    let now = match awaited.what {
        Circumstance::Credentials => observation.secrets.migration_hash.clone(),
        Circumstance::MemoryLimit => {
            let limits = installation.migrations.resources.limits.as_ref();
            let limit = limits.and_then(|limits| limits.get("memory"));
            Some(limit.map_or_else(String::new, |limit| limit.0.clone()))
        }
    };
    now.is_some_and(|now| now != awaited.given)
}

/// The name of the Job of the attempt that is due. The first one's is given; the others are numbered: `NAME-2`, ….
///
/// The latest that is known counts, by the Jobs and by the status: it stays the one that is due, whatever became of
/// it, until what its failure waits for has changed. That is written down before it is acted on, so a failure whose
/// cause was never found is never repeated.
pub(super) fn due(installation: &Installation, observation: &Observation, first: &str) -> String {
    let number = |name: &str| match name.strip_prefix(first)? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse::<u32>().ok(),
    };
    let name = |number: u32| match number {
        1 => first.to_owned(),
        more => format!("{first}-{more}"),
    };
    let recorded = observation.previous.migration.as_ref();
    let of_record = recorded.and_then(|record| number(record.job.as_deref()?));
    let of_jobs = observation.jobs.iter().filter_map(|job| number(&job.name)).max();
    let latest = of_record.max(of_jobs).unwrap_or(1);
    let changed = recorded
        .filter(|record| of_record == Some(latest) && record.result == MigrationResult::Failed)
        .and_then(|record| record.waits_for.as_ref())
        .is_some_and(|awaited| has_changed(awaited, installation, observation));
    name(if changed && latest < MOST { latest + 1 } else { latest })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{api::MigrationStatus, fixtures};

    fn awaits(what: Circumstance, given: &str) -> AwaitedChange {
        AwaitedChange { what, given: given.to_owned() }
    }

    /// The installation's memory limit is 1Gi, and the hash of its credentials `migration-hash`.
    #[rstest]
    #[case::other_credentials(1, awaits(Circumstance::Credentials, "older"), "first-2")]
    #[case::the_same_credentials(1, awaits(Circumstance::Credentials, "migration-hash"), "first")]
    #[case::other_memory(1, awaits(Circumstance::MemoryLimit, "512Mi"), "first-2")]
    #[case::the_same_memory(1, awaits(Circumstance::MemoryLimit, "1Gi"), "first")]
    #[case::a_later_attempt(7, awaits(Circumstance::MemoryLimit, "512Mi"), "first-8")]
    #[case::the_last_but_one(98, awaits(Circumstance::MemoryLimit, "512Mi"), "first-99")]
    #[case::there_is_no_room_for_more(99, awaits(Circumstance::MemoryLimit, "512Mi"), "first-99")]
    fn another_attempt_is_due_when_what_it_failed_of_has_changed(
        #[case] failed: u32,
        #[case] waits_for: AwaitedChange,
        #[case] expected: &str,
    ) {
        let limits = json!({ "migrations": { "resources": { "limits": { "memory": "1Gi" } } } });
        let installation = fixtures::installation(&fixtures::spec(limits));
        let mut observation = fixtures::empty_observation();
        observation.previous.migration = Some(MigrationStatus {
            job: Some(if failed == 1 { "first".to_owned() } else { format!("first-{failed}") }),
            result: MigrationResult::Failed,
            waits_for: Some(waits_for),
            ..MigrationStatus::default()
        });
        assert_eq!(due(&installation, &observation, "first"), expected);
        // What has not failed is not repeated.
        observation.previous.migration.as_mut().unwrap().result = MigrationResult::Running;
        let same = observation.previous.migration.as_ref().and_then(|it| it.job.clone()).unwrap();
        assert_eq!(due(&installation, &observation, "first"), same);
    }

    #[test]
    fn credentials_that_cannot_be_read_have_not_changed() {
        let installation = fixtures::installation(&fixtures::minimal());
        let mut observation = fixtures::empty_observation();
        observation.secrets.migration_hash = None;
        assert!(!has_changed(&awaits(Circumstance::Credentials, "older"), &installation, &observation));
    }
}
