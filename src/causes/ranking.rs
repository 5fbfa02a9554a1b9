//! Cause before consequence, across all sources. Pure.
//!
//! A database that is down makes pods crash, probes fail and queues stall. Whoever reads five diagnoses for it has
//! to find out which one to mend; here the consequences become evidence of their cause.

use crate::model::{Code, Component, Diagnosis, Severity};

/// The most pieces of evidence of one diagnosis, consequences included.
const EVIDENCE: usize = 8;

/// Characters of a consequence's message in the evidence of its cause.
const LINE: usize = 200;

/// How far a cause reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Whatever component shows the consequence.
    Everywhere,
    /// Only the component that shows the cause.
    Component,
    /// Whatever component shows the consequence, where the API shows the cause.
    FromApi,
}

/// Which causes explain which consequences: wherever one of the first stands, those of the second say nothing new.
const EXPLAINS: &[(&[Code], Reach, &[Code])] = &[
    (NO_DATABASE, Reach::Everywhere, AFTER_NO_DATABASE),
    (
        NO_CONNECTION,
        Reach::Everywhere,
        &[Code::DatabaseConnectionLost, Code::DatabaseStarting],
    ),
    (NO_SECRET, Reach::Everywhere, &[Code::ContainerConfigError]),
    (NO_START, Reach::Component, AFTER_NO_START),
    (NO_API, Reach::FromApi, &[Code::FrontendCannotReachApi]),
    (NO_MIGRATION, Reach::Everywhere, AFTER_NO_MIGRATION),
    (
        &[Code::ContainerOutOfMemory],
        Reach::Component,
        &[Code::GunicornWorkerOutOfMemory, Code::GunicornWorkerKilled],
    ),
    (
        &[Code::GunicornWorkersSaturated, Code::GunicornWorkerStalled],
        Reach::Component,
        &[Code::LivenessProbeKilling, Code::ProbeFailing, Code::CrashLooping],
    ),
    (
        &[Code::LivenessProbeKilling],
        Reach::Component,
        &[Code::ProbeFailing, Code::CrashLooping],
    ),
    (NO_PROCESSOR, Reach::Everywhere, AFTER_NO_PROCESSOR),
    (
        &[Code::TaskProcessorNotReady],
        Reach::Component,
        &[Code::ProbeFailing, Code::RolloutDeadlineExceeded],
    ),
    (
        &[Code::TaskUnregistered],
        Reach::Everywhere,
        &[Code::TasksStuckLocked],
    ),
    (
        &[Code::TaskProcessorVersionSkew],
        Reach::Everywhere,
        &[Code::TaskUnregistered, Code::TasksStuckLocked],
    ),
    (
        &[Code::CrashLooping],
        Reach::Component,
        &[Code::ProbeFailing, Code::RolloutDeadlineExceeded],
    ),
    (
        &[Code::ProbeFailing],
        Reach::Component,
        &[Code::RolloutDeadlineExceeded],
    ),
];

/// Nothing can work on the database.
const NO_DATABASE: &[Code] = &[
    Code::DatabaseSecretMissing,
    Code::DatabaseSecretKeyMissing,
    Code::DatabaseUrlInvalid,
    Code::DatabaseHostNotFound,
    Code::DatabaseUnreachable,
    Code::DatabaseTlsMismatch,
    Code::DatabaseAccessRejected,
    Code::DatabaseAuthenticationFailed,
    Code::DatabaseNotFound,
    Code::DatabaseStarting,
    Code::DatabaseConnectionsExhausted,
    Code::DatabaseReadOnly,
    Code::DatabaseDiskFull,
    Code::DatabaseVersionUnsupported,
    Code::DatabasePoolerRejectsOptions,
];

/// A Secret that containers refer to is not as they need it.
const NO_SECRET: &[Code] = &[
    Code::DatabaseSecretMissing,
    Code::DatabaseSecretKeyMissing,
    Code::DjangoSecretMissing,
];

/// A connection cannot be made at all.
const NO_CONNECTION: &[Code] = &[
    Code::DatabaseHostNotFound,
    Code::DatabaseUnreachable,
    Code::DatabaseTlsMismatch,
    Code::DatabaseAccessRejected,
    Code::DatabaseAuthenticationFailed,
    Code::DatabaseNotFound,
    Code::DatabaseConnectionsExhausted,
];

const AFTER_NO_DATABASE: &[Code] = &[
    Code::DatabaseConnectionLost,
    Code::CrashLooping,
    Code::ProbeFailing,
    Code::LivenessProbeKilling,
    Code::RolloutDeadlineExceeded,
    Code::GunicornWorkerTimeout,
    Code::GunicornWorkerStalled,
    Code::GunicornWorkersSaturated,
    Code::TaskProcessorNotReady,
    Code::TaskQueueStalled,
    Code::TaskQueueGrowing,
    Code::TasksFailing,
    Code::FrontendCannotReachApi,
    Code::MigrationFailed,
];

/// A container cannot start, or dies of something that its environment lacks.
const NO_START: &[Code] = &[
    Code::ImagePullFailed,
    Code::ContainerConfigError,
    Code::PodUnschedulable,
    Code::QuotaExceeded,
    Code::AdmissionDenied,
    Code::ReadOnlyFilesystem,
    Code::AllowedHostsRejected,
    Code::GunicornWorkerClassUnavailable,
    Code::GunicornSettingsIgnored,
    Code::DjangoSecretMissing,
    Code::ContainerOutOfMemory,
    Code::MigrationsPending,
    Code::DatabaseVersionUnsupported,
];

const AFTER_NO_START: &[Code] = &[
    Code::CrashLooping,
    Code::ProbeFailing,
    Code::LivenessProbeKilling,
    Code::RolloutDeadlineExceeded,
    Code::TaskProcessorNotReady,
];

/// The API does not answer, whatever asks it.
const NO_API: &[Code] = &[
    Code::ImagePullFailed,
    Code::ContainerConfigError,
    Code::PodUnschedulable,
    Code::QuotaExceeded,
    Code::AdmissionDenied,
    Code::ReadOnlyFilesystem,
    Code::AllowedHostsRejected,
    Code::ContainerOutOfMemory,
    Code::CrashLooping,
    Code::ProbeFailing,
    Code::LivenessProbeKilling,
    Code::MigrationsPending,
];

/// The schema is not the one that a release needs, because its migration stopped.
const NO_MIGRATION: &[Code] = &[
    Code::MigrationFailed,
    Code::MigrationPermissionDenied,
    Code::MigrationSchemaConflict,
    Code::MigrationHistoryInconsistent,
    Code::MigrationGraphBroken,
    Code::MigrationLockTimeout,
    Code::MigrationStatementTimeout,
    Code::MigrationDeadlock,
    Code::MigrationDataConflict,
    Code::MigrationExtensionUnavailable,
    Code::MigrationConcurrent,
    Code::MigrationOutOfMemory,
    Code::MigrationDeadlineExceeded,
    Code::MigrationImagePullFailed,
    Code::MigrationPodUnschedulable,
];

const AFTER_NO_MIGRATION: &[Code] = &[Code::MigrationsPending];

/// No process works on the queue.
const NO_PROCESSOR: &[Code] = &[
    Code::TaskProcessorMissing,
    Code::TaskProcessorScaledToZero,
    Code::TaskProcessorReleaseBroken,
    Code::TaskProcessorModeOff,
    Code::TaskProcessorNotReady,
    Code::TaskProcessorDatabaseMismatch,
];

const AFTER_NO_PROCESSOR: &[Code] = &[
    Code::TaskQueueStalled,
    Code::TaskQueueGrowing,
    Code::TasksStuckLocked,
];

/// The same diagnoses, each said once: those of one cause and component together, consequences as evidence of
/// their cause. The order of what remains is kept.
#[must_use]
pub fn rank(found: Vec<Diagnosis>) -> Vec<Diagnosis> {
    let mut ranked: Vec<Diagnosis> = Vec::new();
    for diagnosis in found {
        let same = |it: &&mut Diagnosis| it.code == diagnosis.code && it.component == diagnosis.component;
        match ranked.iter_mut().find(same) {
            Some(known) => absorb(known, diagnosis.severity, diagnosis.evidence),
            None => ranked.push(diagnosis),
        }
    }
    let of_database = |code: Code| NO_DATABASE.contains(&code);
    let mut kept: Vec<Diagnosis> = Vec::new();
    let mut consequences: Vec<(usize, Diagnosis)> = Vec::new();
    for (index, diagnosis) in ranked.iter().enumerate() {
        let by = ranked.iter().enumerate().position(|(other, cause)| {
            // The same trouble of the database, seen by several.
            let again = other < index && cause.code == diagnosis.code && of_database(cause.code);
            other != index && (again || explains(cause, diagnosis))
        });
        if let Some(by) = by {
            consequences.push((by, diagnosis.clone()));
        }
    }
    let explained: Vec<bool> = (0..ranked.len())
        .map(|index| consequences.iter().any(|(_, it)| same(it, ranked.get(index))))
        .collect();
    for (mut by, consequence) in consequences.clone() {
        // A cause that is a consequence itself hands on to its own; each step is an earlier link of the table.
        for _ in 0..EXPLAINS.len() {
            let Some((next, _)) = consequences.iter().find(|(_, it)| same(it, ranked.get(by))) else {
                break;
            };
            by = *next;
        }
        if let Some(cause) = ranked.get_mut(by) {
            let line = told(cause, &consequence);
            absorb(cause, consequence.severity, line);
        }
    }
    for (diagnosis, explained) in ranked.into_iter().zip(explained) {
        if !explained {
            kept.push(diagnosis);
        }
    }
    kept
}

fn same(one: &Diagnosis, other: Option<&Diagnosis>) -> bool {
    other.is_some_and(|other| (one.code, one.component) == (other.code, other.component))
}

fn explains(cause: &Diagnosis, consequence: &Diagnosis) -> bool {
    EXPLAINS.iter().any(|(causes, reach, consequences)| {
        causes.contains(&cause.code)
            && consequences.contains(&consequence.code)
            // A variable that is not read hinders no start, in contrast to a flag that is not known.
            && (cause.code != Code::GunicornSettingsIgnored || cause.severity == Severity::Critical)
            && match reach {
                Reach::Everywhere => true,
                Reach::Component => cause.component == consequence.component,
                Reach::FromApi => cause.component == Component::Api,
            }
    })
}

/// How a consequence reads as evidence.
fn told(cause: &Diagnosis, consequence: &Diagnosis) -> Vec<String> {
    if cause.code == consequence.code {
        return consequence.evidence.iter().take(1).cloned().collect();
    }
    let text: String = consequence.message.chars().take(LINE).collect();
    vec![format!("{}: {text}", component(consequence.component))]
}

fn component(component: Component) -> String {
    format!("therefore, {}", component.as_str())
}

fn absorb(known: &mut Diagnosis, severity: Severity, evidence: Vec<String>) {
    known.severity = known.severity.min(severity);
    for line in evidence {
        if known.evidence.len() < EVIDENCE && !known.evidence.contains(&line) {
            known.evidence.push(line);
        }
    }
}

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod tests;
