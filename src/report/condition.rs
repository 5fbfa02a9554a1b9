//! The words of conditions: their types, their status, and what one says.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::model::Diagnosis;

/// The type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionType {
    Ready,
    DatabaseReachable,
    MigrationsApplied,
    ApiAvailable,
    TaskProcessorAvailable,
    FrontendAvailable,
    /// Present only while an edge proxy is wanted.
    EdgeProxyAvailable,
    TimeoutsAligned,
    ExposureReady,
    /// kstatus: present only while it is True.
    Reconciling,
    /// kstatus: present only while it is True.
    Stalled,
}

impl ConditionType {
    /// Those that are present in every status, except for the summary.
    pub(super) const PARTS: [Self; 7] = [
        Self::DatabaseReachable,
        Self::MigrationsApplied,
        Self::ApiAvailable,
        Self::TaskProcessorAvailable,
        Self::FrontendAvailable,
        Self::TimeoutsAligned,
        Self::ExposureReady,
    ];

    /// The summary, and what follows from it.
    pub(super) const SUMMARY: [Self; 3] = [Self::Ready, Self::Reconciling, Self::Stalled];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::DatabaseReachable => "DatabaseReachable",
            Self::MigrationsApplied => "MigrationsApplied",
            Self::ApiAvailable => "ApiAvailable",
            Self::TaskProcessorAvailable => "TaskProcessorAvailable",
            Self::FrontendAvailable => "FrontendAvailable",
            Self::EdgeProxyAvailable => "EdgeProxyAvailable",
            Self::TimeoutsAligned => "TimeoutsAligned",
            Self::ExposureReady => "ExposureReady",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }

    /// The condition of this type.
    pub(crate) fn find(self, conditions: &[Condition]) -> Option<&Condition> {
        conditions.iter().find(|condition| condition.type_ == self.as_str())
    }

    /// Whether the condition of this type is there and True.
    pub(crate) fn is_true(self, conditions: &[Condition]) -> bool {
        self.find(conditions).is_some_and(|condition| condition.status == ConditionStatus::True.as_str())
    }
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Status, reason and message of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: ConditionStatus,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn new(status: ConditionStatus, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// False because of a diagnosis, whose code is the reason.
    pub(super) fn of(diagnosis: &Diagnosis) -> Self {
        Self::new(ConditionStatus::False, diagnosis.code.as_str(), diagnosis.message.clone())
    }
}
