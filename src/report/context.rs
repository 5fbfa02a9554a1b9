//! What everything here is computed from.

use crate::{
    decide::{Gate, Plan},
    flagsmith::Release,
    migration::Step,
    model::{Code, Component, Diagnosis, Severity},
    observe::Observation,
    validate::Installation,
};

/// What a pass has seen and decided, and whether it could write that.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) installation: &'a Installation,
    pub(crate) observation: &'a Observation,
    pub(crate) plan: &'a Plan,
    /// The most severe first.
    pub(crate) diagnoses: &'a [Diagnosis],
    /// Whether everything that was decided has been written.
    pub(crate) complete: bool,
}

impl<'a> Context<'a> {
    /// Whether a task processor that is wanted, and whose release is recorded, is held at none: after going back, pods of
    /// the API of the newer release queue tasks that it does not know.
    pub(super) fn processor_waits(&self) -> bool {
        let held = self.plan.task_processor.as_ref().is_some_and(|workload| workload.replicas == Some(0));
        self.plan.gate == Gate::Succeeded && held && self.installation.task_processor_replicas() > 0
    }

    /// The release that the migration leads to which is due: the wanted one, or a stop on the way there.
    pub(super) fn due(&self) -> Release {
        self.plan.step.as_ref().map_or(self.installation.release, |step| step.release)
    }

    /// Whether others follow it.
    pub(super) fn is_at_stop(&self) -> bool {
        self.plan.step.as_ref().is_some_and(Step::is_stop)
    }

    /// The first critical diagnosis.
    pub(super) fn worst(&self) -> Option<&'a Diagnosis> {
        self.diagnoses.iter().find(|diagnosis| is_critical(diagnosis))
    }

    /// The first critical diagnosis of a component.
    pub(super) fn critical(&self, component: Component) -> Option<&'a Diagnosis> {
        self.diagnoses.iter().find(|diagnosis| diagnosis.component == component && is_critical(diagnosis))
    }

    /// The first diagnosis of one of these causes.
    pub(super) fn diagnosed(&self, codes: &[Code]) -> Option<&'a Diagnosis> {
        self.diagnoses.iter().find(|diagnosis| codes.contains(&diagnosis.code))
    }
}

fn is_critical(diagnosis: &Diagnosis) -> bool {
    diagnosis.severity == Severity::Critical
}
