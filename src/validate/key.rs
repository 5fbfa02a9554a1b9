//! The identity of a migration.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{restore::RestorePlan, rollback::RollbackPlan};
use crate::{
    api::MigrationOperation, flagsmith::Release, postgres::DatabaseIdentity, validate::Installation,
};

/// The command of the migration Job; part of the key, so that a changed command runs again.
pub const MIGRATE_COMMAND: &[&str] = &["migrate"];

/// The management command that undoes what was applied at or after a moment (Flagsmith 2.151.0; the documentation's
/// `rollbackmigrationsafter` does not exist).
pub const ROLL_BACK_COMMAND: &str = "rollbackmigrationsappliedafter";

/// Hexadecimal digits of a key: 40 bits, far more than the migrations that one installation will ever see, and
/// short enough for a Job's name.
const DIGITS: usize = 10;

/// Identifies image, command and database. A new key means a new migration; the same key never runs twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MigrationKey(String);

impl MigrationKey {
    /// The key of migrating a database to a release. Credentials are no part of it: a rotated password is no
    /// reason to migrate.
    #[must_use]
    pub fn migrate(installation: &Installation, release: Release, database: &DatabaseIdentity) -> Self {
        let mut parts = vec![installation.api_image(release)];
        parts.extend(MIGRATE_COMMAND.iter().map(ToString::to_string));
        parts.push(database.within(&installation.identity.namespace).to_string());
        Self(digest(&parts))
    }

    /// The key of undoing what newer releases brought.
    #[must_use]
    pub fn roll_back(
        installation: &Installation,
        rollback: &RollbackPlan,
        database: &DatabaseIdentity,
    ) -> Self {
        Self(digest(&[
            installation.api_image(rollback.from),
            ROLL_BACK_COMMAND.to_owned(),
            rollback.applied_after.to_string(),
            rollback.to.to_string(),
            database.within(&installation.identity.namespace).to_string(),
        ]))
    }

    /// The key of bringing a backup back.
    #[must_use]
    pub fn restore(installation: &Installation, restore: &RestorePlan, database: &DatabaseIdentity) -> Self {
        Self(digest(&[
            "restore".to_owned(),
            restore.from.clone(),
            restore.made.to_string(),
            database.within(&installation.identity.namespace).to_string(),
        ]))
    }

    /// The name of the Job of one attempt: another one for each value of the retry annotation.
    #[must_use]
    pub fn job_name(&self, installation: &Installation, operation: MigrationOperation) -> String {
        let attempt = installation
            .retry
            .as_ref()
            .map_or_else(|| self.0.clone(), |retry| digest(&[self.0.clone(), retry.clone()]));
        let verb = match operation {
            MigrationOperation::Migrate => "migrate",
            MigrationOperation::RollBack => "rollback",
            MigrationOperation::Restore => "restore",
        };
        installation.child(&format!("{verb}-{attempt}"))
    }

    /// The key as it is written into annotations.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The name of the Job that makes the backup for one attempt of a migration.
#[must_use]
pub fn backup_name(installation: &Installation, job: &str) -> String {
    installation.child(&format!("backup-{}", digest(&[job.to_owned()])))
}

/// The name of the Job that has these images pulled for one attempt of a migration. It is another one when anything changes
/// that its pod may wait for: a Job's template cannot be corrected.
#[must_use]
pub fn pull_name(installation: &Installation, job: &str, pulled: &[String]) -> String {
    let (spec, images) = (&installation.migrations, &installation.images);
    let given = serde_json::json!([
        pulled,
        spec.pod,
        spec.resources,
        spec.container_security_context,
        images.pull_policy,
        images.pull_secrets,
        installation.service_account,
    ]);
    installation.child(&format!("pull-{}", digest(&[job.to_owned(), given.to_string()])))
}

fn digest(parts: &[String]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    crate::model::hex::shortened(&hash.finalize(), DIGITS)
}
