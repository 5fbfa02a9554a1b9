//! What the operator has found and written into the status, read back by whoever asks.

use jiff::Timestamp;

use crate::{
    api::{DiagnosisStatus, FlagsmithDeploymentStatus},
    model::{Code, Component, Diagnosis, Draft, Severity},
};

/// The diagnoses of a status, each with the time since when it has been seen. One of a code that this release does not
/// know, written by a newer operator, is left out.
#[must_use]
pub fn recorded(status: &FlagsmithDeploymentStatus) -> Vec<(Diagnosis, Option<Timestamp>)> {
    status.diagnoses.iter().filter_map(read).collect()
}

fn read(known: &DiagnosisStatus) -> Option<(Diagnosis, Option<Timestamp>)> {
    let diagnosis = Diagnosis::from(Draft {
        code: Code::named(&known.code)?,
        severity: Severity::named(&known.severity)?,
        component: Component::named(&known.component)?,
        message: known.message.clone(),
        evidence: known.evidence.clone(),
        remedy: known.remedy.clone(),
    });
    Some((diagnosis, known.since.as_ref().map(|since| since.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        causes::refused,
        fixtures::{installation, minimal},
        model::{Refusal, Refused, child::Kind},
    };

    #[test]
    fn what_was_written_is_read_back() {
        let rejected = Refused {
            kind: Kind::Deployment,
            name: "flagsmith-task-processor".to_owned(),
            component: Some(Component::TaskProcessor),
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
        let unknown = DiagnosisStatus { code: "OfANewerRelease".to_owned(), ..of(&written) };
        let status = FlagsmithDeploymentStatus {
            diagnoses: vec![unknown, of(&written)],
            ..FlagsmithDeploymentStatus::default()
        };
        assert_eq!(recorded(&status), [(written, None)]);
    }
}
