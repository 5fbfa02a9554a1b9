//! Whether a backup is to be brought back now, and what is in the way of one that the user asks for.

use crate::{
    api::{RestoreResult, RestoreSpec},
    flagsmith::Release,
    observe::{Observation, SecretState},
    postgres::DatabaseIdentity,
    validate::{Installation, RestorePlan},
};

/// How a restore stands that the specification asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Restore {
    /// It runs, or will.
    Due(RestorePlan),
    /// It has run.
    Done,
    /// It does not run.
    Held(Hindrance),
}

/// Why a restore does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// It was there before the operator was: it may have run already, and would lose what was written since.
    Ignored,
    /// No backup of that name is known.
    Unknown,
    /// The backup is not a file that the operator's own Job has written.
    Foreign,
    /// It holds a newer release than the wanted one, which could not run on it.
    Newer(Release),
    /// The confirmation that it takes is another one, or none is there.
    Unconfirmed(String),
}

/// How the restore stands that the specification asks for; `None` where it asks for none, and where nothing can be said of it
/// while the URL of the database is not known.
pub(crate) fn restore(installation: &Installation, observation: &Observation) -> Option<Restore> {
    let spec = installation.migrations.restore.as_ref()?;
    let previous = &observation.previous;
    let told = previous.restore.as_ref().filter(|told| told.is_of(spec)).map(|told| told.result);
    // What was set when the operator first saw the resource is no change that anybody makes now: it may have come with a copy
    // of the resource, long after it has run.
    match told.or(previous.observed_generation.is_none().then_some(RestoreResult::Ignored)) {
        Some(RestoreResult::Restored) => return Some(Restore::Done),
        Some(RestoreResult::Ignored) => return Some(Restore::Held(Hindrance::Ignored)),
        None => {}
    }
    let SecretState::Present(database) = &observation.secrets.migration_database else {
        return None;
    };
    Some(match plan(installation, observation, spec, database) {
        Ok(plan) => Restore::Due(plan),
        Err(hindrance) => Restore::Held(hindrance),
    })
}

fn plan(
    installation: &Installation,
    observation: &Observation,
    spec: &RestoreSpec,
    database: &DatabaseIdentity,
) -> Result<RestorePlan, Hindrance> {
    let mut backups = observation.previous.backups.iter();
    let backup = backups.find(|backup| backup.name == spec.from).ok_or(Hindrance::Unknown)?;
    let claim = backup.volume_claim.clone().ok_or(Hindrance::Foreign)?;
    let made = backup.finished.as_ref().ok_or(Hindrance::Foreign)?.0;
    let release = backup.version.as_ref().and_then(|version| version.parse().ok());
    if let Some(newer) = release.filter(|release| *release > installation.release) {
        return Err(Hindrance::Newer(newer));
    }
    let confirmation = format!("{database} {made:.0}");
    if spec.confirm.as_ref() != Some(&confirmation) {
        return Err(Hindrance::Unconfirmed(confirmation));
    }
    Ok(RestorePlan { from: spec.from.clone(), claim, made, release, backs_up: !spec.without_backup })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::{
        api::{BackupStatus, RestoreStatus},
        fixtures,
    };

    const MADE: &str = "2026-11-30T10:00:00Z";

    /// An installation of 2.265.0 that asks for the only backup, which is of 2.260.0.
    fn scene() -> (Installation, Observation) {
        let mut installation = fixtures::installation(&fixtures::minimal());
        installation.migrations.restore = Some(RestoreSpec {
            from: "flagsmith-backup-0123456789".to_owned(),
            confirm: Some(format!("{} {MADE}", fixtures::database())),
            without_backup: false,
        });
        let mut observation = fixtures::empty_observation();
        observation.secrets.migration_database = SecretState::Present(fixtures::database());
        observation.previous.observed_generation = Some(1);
        observation.previous.backups = vec![BackupStatus {
            name: "flagsmith-backup-0123456789".to_owned(),
            finished: Some(Time(MADE.parse::<Timestamp>().unwrap())),
            version: Some("2.260.0".to_owned()),
            volume_claim: Some("backups".to_owned()),
            bytes: None,
        }];
        (installation, observation)
    }

    fn after(change: impl FnOnce(&mut Installation, &mut Observation)) -> Option<Restore> {
        let (mut installation, mut observation) = scene();
        change(&mut installation, &mut observation);
        restore(&installation, &observation)
    }

    #[test]
    fn one_that_is_confirmed_is_due() {
        let Some(Restore::Due(plan)) = after(|_, _| {}) else { panic!("not due") };
        assert_eq!((plan.claim.as_str(), plan.release), ("backups", "2.260.0".parse().ok()));
        assert_eq!(after(|installation, _| installation.migrations.restore = None), None);
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        let held = |change: fn(&mut RestoreSpec, &mut Observation)| {
            let restore = after(|installation, observation| {
                change(installation.migrations.restore.as_mut().unwrap(), observation);
            });
            match restore {
                Some(Restore::Held(hindrance)) => hindrance,
                other => panic!("{other:?}"),
            }
        };
        let confirmation = format!("{} {MADE}", fixtures::database());
        assert_eq!(held(|spec, _| spec.confirm = None), Hindrance::Unconfirmed(confirmation.clone()));
        assert_eq!(
            held(|spec, _| spec.confirm = Some("other:5432/db 2026-11-30T10:00:00Z".to_owned())),
            Hindrance::Unconfirmed(confirmation)
        );
        assert_eq!(held(|spec, _| spec.from = "other".to_owned()), Hindrance::Unknown);
        assert_eq!(held(|_, seen| seen.previous.backups[0].volume_claim = None), Hindrance::Foreign);
        let newer: Release = "2.999.0".parse().unwrap();
        assert_eq!(
            held(|_, seen| seen.previous.backups[0].version = Some("2.999.0".to_owned())),
            Hindrance::Newer(newer)
        );
        assert_eq!(held(|_, seen| seen.previous.observed_generation = None), Hindrance::Ignored);
        let unseen = |_: &mut RestoreSpec, seen: &mut Observation| {
            seen.previous.observed_generation = None;
            seen.secrets.migration_database = SecretState::Missing;
        };
        assert_eq!(held(unseen), Hindrance::Ignored, "whatever else is known");
    }

    /// A leftover in the specification is no reason to lose what was written since, whatever becomes of the records.
    #[test]
    fn it_runs_once() {
        let told = |result| {
            after(|installation, observation| {
                let spec = installation.migrations.restore.clone().unwrap();
                observation.previous.restore =
                    Some(RestoreStatus { from: spec.from, confirm: spec.confirm, result, finished: None });
            })
        };
        assert_eq!(told(RestoreResult::Restored), Some(Restore::Done));
        assert_eq!(told(RestoreResult::Ignored), Some(Restore::Held(Hindrance::Ignored)));
    }
}
