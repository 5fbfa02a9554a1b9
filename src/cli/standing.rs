//! What a status is worth: whether it is of the resource as it is, and whether the one who wrote it still looks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use super::attendance::{Attendance, ago};
use crate::{
    api::FlagsmithDeployment,
    causes,
    model::{Code, Component, Diagnosis},
    report::ConditionType,
};

/// How long an operator may take to get to a change before its status is one of the past: a thousand installations that
/// are all changed at once are looked at within a minute.
const GETS_TO_IT: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

/// What the status of a resource is worth at this time.
pub(super) struct Standing {
    /// Who looks after it.
    pub(super) attendance: Attendance,
    /// The generation of the resource.
    generation: Option<i64>,
    /// The generation that the status is of.
    observed: Option<i64>,
    /// When the specification was changed, or the resource made, last.
    changed: Option<Timestamp>,
    /// When the status was written last.
    written: Option<Timestamp>,
    /// The time by the API server's clock.
    now: Timestamp,
    /// What the operator has found, where its status counts, and since when.
    known: BTreeMap<(Code, Component), Known>,
}

/// That the operator has found something.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Since when it has seen it, where that is written.
    pub(super) since: Option<Timestamp>,
}

/// The same for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperatorReport {
    attended: Option<bool>,
    said: String,
    status_is_current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_written: Option<Timestamp>,
}

impl Standing {
    /// The standing of a resource's status.
    pub(super) fn of(resource: &FlagsmithDeployment, (attendance, now): (Attendance, Timestamp)) -> Self {
        let status = resource.status.as_ref();
        let fields = resource.managed_fields();
        let last = |of_status: bool| {
            fields
                .iter()
                .filter(|it| (it.subresource.as_deref() == Some("status")) == of_status)
                .filter_map(|it| it.time.as_ref().map(|time| time.0))
                .max()
        };
        let mut standing = Self {
            attendance,
            generation: resource.metadata.generation,
            observed: status.and_then(|status| status.observed_generation),
            changed: last(false).or_else(|| resource.creation_timestamp().map(|time| time.0)),
            written: status.and_then(|_| last(true)),
            now,
            known: BTreeMap::new(),
        };
        if standing.is_current()
            && let Some(status) = status
        {
            standing.known = causes::recorded(status)
                .into_iter()
                .map(|(it, since)| ((it.code, it.component), Known { since }))
                .collect();
        }
        standing
    }

    /// Whether the status says what is seen now: it is of the resource as it is, and nothing shows that nobody looks.
    pub(super) fn is_current(&self) -> bool {
        self.is_of_this_generation() && self.attendance.attended() != Some(false)
    }

    fn is_of_this_generation(&self) -> bool {
        self.observed.is_some() && self.observed == self.generation
    }

    /// Adds to what this look found what the operator has found, and that nobody looks where nobody does.
    pub(super) fn complete(&self, resource: &FlagsmithDeployment, found: Vec<Diagnosis>) -> Vec<Diagnosis> {
        let namespace = resource.namespace().unwrap_or_default();
        let recorded =
            resource.status.as_ref().filter(|_| self.is_current()).map(causes::recorded).unwrap_or_default();
        let absent = self
            .attendance
            .diagnosis(&namespace)
            .or_else(|| self.is_ignored().then(|| causes::not_running(&namespace, None)));
        causes::ranked(
            found
                .into_iter()
                .chain(recorded.into_iter().map(|(diagnosis, _)| diagnosis))
                .chain(absent)
                .collect(),
        )
    }

    /// Whether a change has been waiting for an operator of which there is no sign.
    fn is_ignored(&self) -> bool {
        let waits = self.changed.is_some_and(|changed| self.now.duration_since(changed) > GETS_TO_IT);
        self.attendance == Attendance::NoLease && !self.is_of_this_generation() && waits
    }

    /// Whether the operator says of the database what it has seen itself.
    pub(super) fn tells_of_database(&self, resource: &FlagsmithDeployment) -> bool {
        let conditions = resource.status.as_ref().map(|status| status.conditions.as_slice());
        self.is_current()
            && conditions
                .and_then(|conditions| ConditionType::DatabaseReachable.find(conditions))
                .is_some_and(|it| it.status != "Unknown" && it.reason != "ReportedByPods")
    }

    /// That the operator has found this too; `None` where it has not.
    pub(super) fn known(&self, diagnosis: &Diagnosis) -> Option<Known> {
        self.known.get(&(diagnosis.code, diagnosis.component)).copied()
    }

    /// In one line, which begins with what it is about.
    pub(super) fn line(&self) -> String {
        format!("operator: {}; {}", self.attendance.in_words(self.now), self.status_in_words())
    }

    fn status_in_words(&self) -> String {
        let Some(observed) = self.observed else {
            return "it has written no status yet".to_owned();
        };
        let age =
            self.written.map(|written| format!(", written {}", ago(self.now, written))).unwrap_or_default();
        match self.generation {
            Some(generation) if generation != observed => {
                format!("the status is of generation {observed}, the resource is at {generation}{age}")
            }
            _ => format!("the status is of this generation ({observed}){age}"),
        }
    }

    /// What of the status does not count, as something that was not seen.
    pub(super) fn not_seen(&self, resource: &FlagsmithDeployment) -> Option<String> {
        if self.is_current() {
            return None;
        }
        let status = resource.status.as_ref()?;
        self.observed?;
        let known: Vec<&str> = status.diagnoses.iter().map(|it| it.code.as_str()).collect();
        let said = if known.is_empty() {
            "it names nothing".to_owned()
        } else {
            format!("it names {}", known.join(", "))
        };
        Some(format!("what the operator would see now; {}, and {said}", self.status_in_words()))
    }

    /// For programs.
    pub(super) fn report(&self) -> OperatorReport {
        OperatorReport {
            attended: self.attendance.attended(),
            said: self.line(),
            status_is_current: self.is_current(),
            status_written: self.written,
        }
    }
}
