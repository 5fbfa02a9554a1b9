//! What a resource of either mode names: itself and its release.

use super::{identity::Identity, problem::Problem, rules};
use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentSpec},
    flagsmith::{OLDEST_SUPPORTED, Release},
    model::Code,
};

pub(super) fn release(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) -> Option<Release> {
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

pub(super) fn identity(resource: &FlagsmithDeployment, problems: &mut Vec<Problem>) -> Option<Identity> {
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
