//! What has to be done to the database next.

use super::path::Route;
use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    flagsmith::{
        Release,
        upgrades::{self, CHANGES},
    },
    observe::{JobOutcome, JobState, Observation, SecretState},
    postgres::DatabaseIdentity,
    validate::Installation,
};
use crate::{
    migration::{Direction, Stop, Why, attempt, direction},
    validate::{MigrationKey, RestorePlan, RollbackPlan},
};

/// What a Job does to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Applies the migrations of a release.
    Migrate,
    /// Undoes those of a newer one.
    RollBack(RollbackPlan),
    /// Replaces everything with what a backup holds.
    Restore(RestorePlan),
}

impl Action {
    /// Which of them it is.
    #[must_use]
    pub const fn operation(&self) -> MigrationOperation {
        match self {
            Self::Migrate => MigrationOperation::Migrate,
            Self::RollBack(_) => MigrationOperation::RollBack,
            Self::Restore(_) => MigrationOperation::Restore,
        }
    }

    /// What is undone.
    #[must_use]
    pub const fn rollback(&self) -> Option<&RollbackPlan> {
        match self {
            Self::RollBack(rollback) => Some(rollback),
            Self::Migrate | Self::Restore(_) => None,
        }
    }

    /// The backup that is brought back.
    #[must_use]
    pub const fn restore(&self) -> Option<&RestorePlan> {
        match self {
            Self::Restore(restore) => Some(restore),
            Self::Migrate | Self::RollBack(_) => None,
        }
    }
}

/// What has to be done to the database next: one Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// The release that the database is at afterwards: the wanted one, or a stop on the way there. After a restore whose
    /// backup does not tell, the wanted one.
    pub release: Release,
    /// The whole way, from the release that serves on; one stop where there is nothing between.
    pub path: Vec<Stop>,
    /// The database.
    pub database: DatabaseIdentity,
    /// What identifies it.
    pub key: MigrationKey,
    /// The name of its Job in the attempt that is due.
    pub job: String,
}

impl Step {
    /// The step of an installation whose database is known.
    #[must_use]
    pub fn of(installation: &Installation, observation: &Observation) -> Option<Self> {
        let SecretState::Present(database) = &observation.secrets.migration_database else {
            return None;
        };
        let action = match direction(installation, observation) {
            Direction::Back(rollback) => Action::RollBack(rollback),
            Direction::Restore(restore) => Action::Restore(restore),
            Direction::Forward | Direction::Blocked(_) => Action::Migrate,
        };
        let one = |release| vec![Stop { release, why: Why::Wanted }];
        let path = match &action {
            Action::Migrate => path(installation, observation),
            Action::RollBack(rollback) => one(rollback.to),
            Action::Restore(restore) => one(restore.release.unwrap_or(installation.release)),
        };
        let next = match &action {
            Action::Migrate => due(&path, observation),
            Action::RollBack(_) | Action::Restore(_) => path.first().map(|stop| stop.release),
        };
        let release = next.unwrap_or(installation.release);
        let key = match &action {
            Action::Migrate => MigrationKey::migrate(installation, release, database),
            Action::RollBack(rollback) => MigrationKey::roll_back(installation, rollback, database),
            Action::Restore(restore) => MigrationKey::restore(installation, restore, database),
        };
        let first = key.job_name(installation, action.operation());
        Some(Self {
            job: attempt::due(installation, observation, &first),
            database: database.clone(),
            action,
            release,
            path,
            key,
        })
    }

    /// Whether an earlier Job of the same name, but for its number, has failed.
    #[must_use]
    pub fn is_another_attempt(&self, installation: &Installation) -> bool {
        self.job != self.key.job_name(installation, self.operation())
    }

    /// The stops that are not done yet, this one first.
    pub fn stops_left(&self) -> impl Iterator<Item = &Stop> {
        self.path.iter().filter(|stop| stop.release >= self.release)
    }

    /// Whether others follow before the wanted release is reached.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        self.path.last().is_some_and(|last| self.release < last.release)
    }

    /// The images of all that is left to do.
    #[must_use]
    pub fn images(&self, installation: &Installation) -> Vec<String> {
        let undone = self.action.rollback().map(|rollback| rollback.from);
        let releases = undone.into_iter().chain(self.stops_left().map(|stop| stop.release));
        let restores = self.action.restore().map(|_| installation.dump_image());
        restores.into_iter().chain(releases.map(|release| installation.api_image(release))).collect()
    }

    /// Whether it applies, undoes or restores.
    #[must_use]
    pub const fn operation(&self) -> MigrationOperation {
        self.action.operation()
    }

    /// What the annotations of Deployments say instead of a key while migrations are being undone, or whatever is applied
    /// is about to be replaced: no key holds.
    #[must_use]
    pub fn undoing(&self) -> Option<String> {
        (self.action != Action::Migrate).then(|| format!("{UNDONE}{}", self.key))
    }

    /// Whether an annotation says so of some step.
    #[must_use]
    pub fn is_undone(key: &str) -> bool {
        key.starts_with(UNDONE)
    }

    /// Complete Jobs of another operation. What they prove is about to be undone, so they must be gone before. So must
    /// failed ones before a restore: what they failed of may be there no more.
    pub fn contradicted<'a>(&'a self, jobs: &'a [JobState]) -> impl Iterator<Item = &'a JobState> {
        jobs.iter().filter(|job| match &job.outcome {
            JobOutcome::Active => false,
            JobOutcome::Complete => job.operation != self.operation(),
            JobOutcome::Failed { .. } => self.action.restore().is_some() && job.name != self.job,
        })
    }

    /// Whether the records already say what the Job will make true: before migrations are undone or replaced no annotation
    /// and no status may call them applied, or a user who changes course would find them "applied".
    #[must_use]
    pub fn announced(&self, annotated: &[&str], observation: &Observation) -> bool {
        let Some(undoing) = self.undoing() else {
            return true;
        };
        let in_status = observation
            .previous
            .migration
            .as_ref()
            .is_some_and(|migration| migration.key.as_deref() == Some(self.key.as_str()));
        in_status && annotated.iter().all(|key| *key == undoing)
    }
}

/// What the annotations of Deployments begin with while migrations are being undone.
const UNDONE: &str = "undone-by-";

/// The release that the database is known to be migrated to. Once undoing has begun, and until another has been migrated
/// to, that is what is left of it, whatever the annotations still say: with releases skipped on the way up it is older
/// than the one that is gone back to.
fn applied(observation: &Observation) -> Option<Release> {
    let counts = |record: &&MigrationStatus| {
        record.operation == MigrationOperation::RollBack || record.result == MigrationResult::Applied
    };
    let mut records = observation.previous.migration_history.iter().filter(counts);
    match records.next() {
        Some(last) if last.operation == MigrationOperation::RollBack => {
            let release = |text: &str| text.parse::<Release>().ok();
            let to = release(&last.version)?;
            let mut done = records.filter(|record| record.operation != MigrationOperation::RollBack);
            done.find_map(|record| {
                let reached = release(&record.version).filter(|reached| *reached <= to);
                reached.or_else(|| release(record.from.as_deref()?).filter(|from| *from <= to))
            })
        }
        _ => observation.newest_recorded(),
    }
}

/// The stops of the installation's way to the wanted release, from the one that serves.
fn path(installation: &Installation, observation: &Observation) -> Vec<Stop> {
    let applied = applied(observation);
    let route = Route {
        wanted: installation.release,
        strategy: installation.upgrade.strategy,
        via: &installation.upgrade.via,
        rules: CHANGES,
    };
    route.from(observation.oldest_api().into_iter().chain(applied).min().filter(|_| applied.is_some()))
}

/// The release of a path that is due: the first whose migrations are not recorded. Where the pods that serve are known not
/// to work on the stop that was reached, that one: they are replaced there before the next migration.
fn due(path: &[Stop], observation: &Observation) -> Option<Release> {
    let applied = applied(observation);
    let (_, stops) = path.split_last()?;
    let reached = stops.iter().map(|stop| stop.release).find(|release| Some(*release) == applied);
    let serving = observation.oldest_api();
    let unfit = |reached: &Release| {
        serving.is_some_and(|serving| upgrades::incompatible(serving, *reached).is_some())
    };
    let next =
        path.iter().map(|stop| stop.release).find(|release| applied.is_none_or(|applied| applied < *release));
    reached.filter(unfit).or(next)
}
