//! Children that the API server did not let the operator write.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    apply::{Refusal, Refused},
    child::Kind,
    validate::Installation,
};

/// The diagnosis of a child that could not be written.
#[must_use]
pub fn refused(installation: &Installation, refused: &Refused) -> Diagnosis {
    let namespace = &installation.identity.namespace;
    let Refused { kind, name, why } = refused;
    let object = format!("{} {namespace}/{name}", kind.as_str());
    let (code, message, evidence, remedy) = match why {
        Refusal::NotOwned { owner } => (
            if *kind == Kind::Job {
                Code::MigrationJobNotOwned
            } else {
                Code::ChildNotOwned
            },
            format!(
                "{object} exists already and does not belong to this FlagsmithDeployment, so it was left as it is."
            ),
            format!("{object}: {owner}"),
            format!(
                "Delete or rename it if it is not needed: kubectl -n {namespace} delete {} {name}. Or give this FlagsmithDeployment another name.",
                kind.plural()
            ),
        ),
        Refusal::Forbidden(words) => (
            Code::Forbidden,
            format!("The operator may not write {object}."),
            words.clone(),
            format!(
                "Grant its ServiceAccount the verbs create, patch and delete on {} in {namespace}; the Helm chart does.",
                kind.plural()
            ),
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
    diagnosis(
        code,
        Severity::Critical,
        component(*kind, name),
        message,
        vec![evidence],
        remedy,
    )
}

fn component(kind: Kind, name: &str) -> Component {
    match kind {
        Kind::Job => Component::Migrations,
        Kind::StatefulSet => Component::Database,
        Kind::Ingress | Kind::HttpRoute => Component::Exposure,
        _ if name.ends_with("-task-processor") => Component::TaskProcessor,
        _ if name.ends_with("-api") => Component::Api,
        _ if name.ends_with("-frontend") => Component::Frontend,
        _ if name.ends_with("-database") => Component::Database,
        _ => Component::Operator,
    }
}
