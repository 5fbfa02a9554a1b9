//! The first step: the raw resource becomes an [`Installation`], or a list of everything that is wrong with it.

mod certificates_key;
mod common;
mod database;
mod entrance;
mod identity;
mod image_source;
mod installation;
mod integrations;
mod key;
mod managed_by;
mod metadata;
mod observed;
mod pods;
mod problem;
mod references;
mod restore;
mod rollback;
mod rules;
mod secret_key;
#[cfg(test)]
mod tests;

pub use certificates_key::CertificatesKey;
pub use database::{Database, UrlParts};
pub use entrance::{Behind, Entrance};
pub use identity::Identity;
pub use installation::{Images, Installation, Replicas, RollbackConsent, Upgrade};
pub use integrations::{Variable, VariableValue};
pub use key::{MIGRATE_COMMAND, MigrationKey, ROLL_BACK_COMMAND, backup_name, pull_name};
pub use managed_by::{Change, ManagedBy};
pub use observed::{ObjectSelector, ObservedInstallation, SCALED_TO_ZERO_ANNOTATION, Selection};
pub use problem::Problem;
pub use restore::RestorePlan;
pub use rollback::{RollbackOrder, RollbackPlan, UndoFirst};
pub use secret_key::SecretKey;

use crate::api::{FlagsmithDeployment, Mode, RETRY_MIGRATION_ANNOTATION};
use common::{identity, release};

/// What a resource asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum DesiredState {
    /// An installation that the operator makes and keeps.
    Managed(Box<Installation>),
    /// An installation of somebody else that it looks at.
    Observed(Box<ObservedInstallation>),
}

/// Parses a resource. The result carries everything that later steps need; the resource itself goes no further.
///
/// # Errors
/// Every problem at once, so that one edit can fix them all.
///
/// ```
/// use flagsmith_operator::{api::FlagsmithDeployment, validate::{DesiredState, validate}};
/// use serde_json::{from_value, json};
///
/// let mut resource: FlagsmithDeployment = from_value(json!({
///     "apiVersion": "operator.flagsmith.com/v1alpha1",
///     "kind": "FlagsmithDeployment",
///     "metadata": { "name": "flagsmith", "namespace": "prod", "uid": "1" },
///     "spec": { "version": "2.265.0", "database": { "embedded": {} } },
/// }))?;
/// assert!(matches!(validate(&resource), Ok(DesiredState::Managed(_))));
///
/// resource.spec.version = Some("latest".to_owned());
/// assert_eq!(validate(&resource).unwrap_err().len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn validate(resource: &FlagsmithDeployment) -> Result<DesiredState, Vec<Problem>> {
    match resource.spec.mode {
        Mode::Managed => managed(resource).map(|installation| DesiredState::Managed(Box::new(installation))),
        Mode::Observed => observed::parse(resource).map(|subject| DesiredState::Observed(Box::new(subject))),
    }
}

fn managed(resource: &FlagsmithDeployment) -> Result<Installation, Vec<Problem>> {
    let mut problems = rules::check(&resource.spec);
    let release = release(&resource.spec, &mut problems);
    let rollback = match resource.spec.migrations.rollback.as_ref() {
        Some(confirmed) => release.and_then(|wanted| {
            rules::rollback(confirmed, wanted).map_err(|problem| problems.push(problem)).ok()
        }),
        None => None,
    };
    let identity = identity(resource, &mut problems);
    match (release, identity) {
        (Some(release), Some(identity)) if problems.is_empty() => {
            let annotation = |name: &str| {
                resource
                    .metadata
                    .annotations
                    .as_ref()
                    .and_then(|all| all.get(name))
                    .filter(|value| !value.is_empty())
            };
            Ok(Installation::new(
                identity,
                release,
                &resource.spec,
                annotation(RETRY_MIGRATION_ANNOTATION).cloned(),
                rollback,
            ))
        }
        _ => Err(problems),
    }
}

impl DesiredState {
    /// The installation that is to be made; `None` for one that is only looked at.
    #[must_use]
    pub fn managed(self) -> Option<Installation> {
        match self {
            Self::Managed(installation) => Some(*installation),
            Self::Observed(_) => None,
        }
    }
}
