//! Children that the API server, or the object that is already there, did not let the operator write.

use super::operator::forbidden;
use crate::{
    model::{Code, Component, Diagnosis, Draft, Refusal, Refused, Severity, child::Kind, shell},
    validate::Installation,
};

/// The diagnosis of a child that could not be written.
#[must_use]
pub fn refused(installation: &Installation, refused: &Refused) -> Diagnosis {
    let namespace = &installation.identity.namespace;
    let Refused { kind, name, component, why } = refused;
    let object = format!("{} {namespace}/{name}", kind.as_str());
    let (code, message, evidence, remedy) = match why {
        Refusal::NotOwned { owner } if *kind == Kind::ServiceAccount => (
            Code::ChildNotOwned,
            format!(
                "{object} exists already and does not belong to this FlagsmithDeployment, so it was left as it is, and \
                 no pod is started or changed: pods would run with its rights."
            ),
            format!("{object}: {owner}"),
            format!(
                "To have the pods run as it, say so: spec.serviceAccountName: {}. Otherwise delete it if it is not \
                 needed: kubectl -n {namespace} delete serviceaccounts {}; or give this FlagsmithDeployment another name.",
                shell::name(name, "NAME"),
                shell::name(name, "NAME")
            ),
        ),
        Refusal::NotOwned { owner } => (
            if *kind == Kind::Job { Code::MigrationJobNotOwned } else { Code::ChildNotOwned },
            format!(
                "{object} exists already and does not belong to this FlagsmithDeployment, so it was left as it is."
            ),
            format!("{object}: {owner}"),
            format!(
                "Delete or rename it if it is not needed: kubectl -n {namespace} delete {} {}. Or give this \
                 FlagsmithDeployment another name.",
                kind.plural(),
                shell::name(name, "NAME")
            ),
        ),
        Refusal::Forbidden(words) => (
            Code::Forbidden,
            format!("The operator may not write {object}."),
            words.clone(),
            forbidden::remedy(*kind, namespace),
        ),
        Refusal::QuotaExceeded(words) => (
            Code::QuotaExceeded,
            format!("{object} cannot be created: a quota of the namespace is used up."),
            words.clone(),
            "Raise the ResourceQuota, or remove what is not needed.".to_owned(),
        ),
        Refusal::Rejected(words) => (
            Code::AdmissionDenied,
            format!("The API server does not accept {object}."),
            words.clone(),
            "Change the field of spec that the message speaks of, or the admission rule that objects."
                .to_owned(),
        ),
    };
    Diagnosis::from(Draft {
        code,
        severity: Severity::Critical,
        component: component.unwrap_or_else(|| of_several(*kind)),
        message,
        evidence: vec![evidence],
        remedy,
    })
}

/// The component of an object that serves several.
const fn of_several(kind: Kind) -> Component {
    match kind {
        Kind::Ingress | Kind::HttpRoute => Component::Exposure,
        _ => Component::Operator,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixtures::{installation, minimal};

    /// An installation may be called like a component, so that a name tells nothing.
    #[rstest]
    #[case(Kind::Service, "blue-api", Some(Component::Frontend), Component::Frontend)]
    #[case(Kind::Job, "x-backup-1", Some(Component::Backup), Component::Backup)]
    #[case(Kind::ServiceAccount, "my-api", None, Component::Operator)]
    #[case(Kind::Ingress, "my-api", None, Component::Exposure)]
    fn a_refused_object_is_of_the_component_that_it_was_made_for(
        #[case] kind: Kind,
        #[case] name: &str,
        #[case] component: Option<Component>,
        #[case] expected: Component,
    ) {
        let rejected =
            Refused { kind, name: name.to_owned(), component, why: Refusal::Rejected("no".to_owned()) };
        assert_eq!(refused(&installation(&minimal()), &rejected).component, expected);
    }
}
