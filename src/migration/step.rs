//! What has to be done to the database next.

use crate::{
    api::MigrationOperation,
    observe::{JobOutcome, JobState, Observation, SecretState},
    postgres::DatabaseIdentity,
    validate::Installation,
};
use crate::{
    migration::{Direction, attempt, direction},
    validate::{MigrationKey, RollbackPlan},
};

/// What has to be done to the database next: one Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is undone, when it is not the wanted release that is migrated to.
    pub rollback: Option<RollbackPlan>,
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
        let rollback = match direction(installation, observation) {
            Direction::Back(rollback) => Some(rollback),
            Direction::Forward | Direction::Blocked(_) => None,
        };
        let key = rollback.as_ref().map_or_else(
            || MigrationKey::migrate(installation, installation.release, database),
            |rollback| MigrationKey::roll_back(installation, rollback, database),
        );
        let operation = operation(rollback.as_ref());
        Some(Self {
            job: attempt::due(installation, observation, &key.job_name(installation, operation)),
            database: database.clone(),
            rollback,
            key,
        })
    }

    /// Whether an earlier Job of the same name, but for its number, has failed.
    #[must_use]
    pub fn is_another_attempt(&self, installation: &Installation) -> bool {
        self.job != self.key.job_name(installation, self.operation())
    }

    /// Whether it applies or undoes.
    #[must_use]
    pub const fn operation(&self) -> MigrationOperation {
        operation(self.rollback.as_ref())
    }

    /// What the annotations of Deployments say instead of a key while migrations are being undone: no key holds.
    #[must_use]
    pub fn undoing(&self) -> Option<String> {
        self.rollback.as_ref().map(|_| format!("undone-by-{}", self.key))
    }

    /// Complete Jobs of the other operation. What they prove is about to be undone, so they must be gone before.
    pub fn contradicted<'a>(&'a self, jobs: &'a [JobState]) -> impl Iterator<Item = &'a JobState> {
        jobs.iter().filter(|job| job.outcome == JobOutcome::Complete && job.operation != self.operation())
    }

    /// Whether the records already say what the Job will make true: before migrations are undone no annotation and no
    /// status may call them applied, or a user who changes course would find them "applied".
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

const fn operation(rollback: Option<&RollbackPlan>) -> MigrationOperation {
    match rollback {
        Some(_) => MigrationOperation::RollBack,
        None => MigrationOperation::Migrate,
    }
}
