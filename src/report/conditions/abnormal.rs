//! The conditions of kstatus that follow from the summary: `Reconciling` and `Stalled`.

use crate::{
    decide::Gate,
    model::{Component, Severity},
    report::{
        condition::{ConditionStatus, ConditionType, Verdict},
        context::Context,
    },
};

/// One of the two while `Ready` is False: `Stalled` where only a person can go on.
pub(super) fn abnormal(context: Context<'_>, ready: &Verdict) -> Option<(ConditionType, Verdict)> {
    if ready.status != ConditionStatus::False {
        return None;
    }
    // A failed migration waits for a person whatever its cause: nothing retries it.
    let failed = matches!(context.plan.gate, Gate::Failed { .. });
    let stalled = context.diagnoses.iter().find(|diagnosis| {
        diagnosis.severity == Severity::Critical
            && (diagnosis.code.cause().needs_person
                || (failed && diagnosis.component == Component::Migrations))
    });
    Some(match stalled {
        Some(diagnosis) => (
            ConditionType::Stalled,
            Verdict::new(
                ConditionStatus::True,
                diagnosis.code.as_str(),
                format!("waiting for a person: {}", diagnosis.remedy),
            ),
        ),
        None => (ConditionType::Reconciling, Verdict { status: ConditionStatus::True, ..ready.clone() }),
    })
}
