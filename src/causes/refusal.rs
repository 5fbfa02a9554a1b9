//! Children that the API server, or the object that is already there, did not let the operator write.

use super::operator::forbidden;
use crate::{
    api::{DiagnosisStatus, FlagsmithDeploymentStatus},
    model::{Code, Component, Diagnosis, Draft, Refusal, Refused, Severity, child::Kind, shell},
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
        component: component(*kind, name),
        message,
        evidence: vec![evidence],
        remedy,
    })
}

/// The refusals that the operator has written into the status: a command that only reads cannot come to know them.
#[must_use]
pub fn refused_last(status: &FlagsmithDeploymentStatus) -> Vec<Diagnosis> {
    let refusal = |known: &DiagnosisStatus| {
        let code = Code::named(&known.code).filter(|code| code.cause().is_refusal)?;
        Some(Diagnosis::from(Draft {
            code,
            severity: Severity::Critical,
            component: Component::named(&known.component)?,
            message: known.message.clone(),
            evidence: known.evidence.clone(),
            remedy: known.remedy.clone(),
        }))
    };
    status.diagnoses.iter().filter_map(refusal).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{installation, minimal};

    #[test]
    fn what_a_write_was_answered_is_read_back_from_the_status() {
        let rejected = Refused {
            kind: Kind::Deployment,
            name: "flagsmith-task-processor".to_owned(),
            why: Refusal::Rejected("must be less than or equal to memory limit".to_owned()),
        };
        let written = refused(&installation(&minimal()), &rejected);
        let of = |diagnosis: &Diagnosis| DiagnosisStatus {
            code: diagnosis.code.as_str().to_owned(),
            severity: diagnosis.severity.as_str().to_owned(),
            component: diagnosis.component.as_str().to_owned(),
            message: diagnosis.message.to_string(),
            evidence: diagnosis.evidence.iter().map(ToString::to_string).collect(),
            remedy: diagnosis.remedy.to_string(),
            ..DiagnosisStatus::default()
        };
        let seen_by_anybody = Diagnosis {
            code: Code::CrashLooping,
            ..written.clone()
        };
        let status = FlagsmithDeploymentStatus {
            diagnoses: vec![of(&seen_by_anybody), of(&written)],
            ..FlagsmithDeploymentStatus::default()
        };
        assert_eq!(refused_last(&status), [written]);
    }
}
