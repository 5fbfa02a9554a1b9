//! The first step: the raw resource becomes an [`Installation`], or a list of everything that is wrong with it.

mod installation;
mod key;
mod managed_by;
mod observed;
mod pods;
mod rules;
#[cfg(test)]
mod tests;

pub use installation::{
    CertificatesKey, Database, Identity, Images, Installation, Replicas, RollbackConsent, SecretKey,
};
pub use key::{MIGRATE_COMMAND, MigrationKey, ROLL_BACK_COMMAND, RollbackPlan, backup_name, database_label};
pub use managed_by::{Change, ManagedBy};
pub use observed::{ObjectSelector, ObservedInstallation, SCALED_TO_ZERO_ANNOTATION, Selection};

use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentSpec, Mode, RETRY_MIGRATION_ANNOTATION},
    flagsmith::{OLDEST_SUPPORTED, Release},
    model::{Code, Component, Diagnosis},
};

/// One thing in the specification that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `InvalidSpec` or `UnsupportedVersion`.
    pub code: Code,
    /// The field, for example `spec.api.env[2].name`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl From<Problem> for Diagnosis {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code,
            severity: crate::model::Severity::Critical,
            component: Component::Operator,
            message: format!("{}: {}", problem.field, problem.message),
            evidence: Vec::new(),
            remedy: problem.remedy,
        }
    }
}

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
/// Every problem at once, so that one edit can mend them all.
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
            rules::rollback(confirmed, wanted)
                .map_err(|problem| problems.push(problem))
                .ok()
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

fn release(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) -> Option<Release> {
    match spec.version.as_deref().unwrap_or_default().parse::<Release>() {
        Ok(release) if release < OLDEST_SUPPORTED => {
            problems.push(Problem {
                code: Code::UnsupportedVersion,
                field: "spec.version".to_owned(),
                message: format!(
                    "Flagsmith {release} is older than {OLDEST_SUPPORTED}, the first release that can be started without migrating; nothing was started or changed"
                ),
                remedy: format!("Set spec.version to {OLDEST_SUPPORTED} or later."),
            });
            None
        }
        Ok(release) => Some(release),
        Err(error) => {
            problems.push(Problem::invalid(
                "spec.version",
                &error.to_string(),
                "Set spec.version to an exact release such as \"2.265.0\".",
            ));
            None
        }
    }
}

fn identity(resource: &FlagsmithDeployment, problems: &mut Vec<Problem>) -> Option<Identity> {
    let identity = Identity::of(resource);
    if let Some(identity) = &identity {
        problems.extend(rules::name(&identity.name));
    } else {
        problems.push(Problem::invalid(
            "metadata",
            "the resource has no name, namespace or uid",
            "Create the resource in a namespace.",
        ));
    }
    identity
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

impl Problem {
    fn invalid(field: &str, message: &str, remedy: &str) -> Self {
        Self {
            code: Code::InvalidSpec,
            field: field.to_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}
