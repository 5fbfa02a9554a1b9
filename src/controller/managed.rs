//! A pass over an installation that the operator makes.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;

use super::reconcile::{Context, Error};
use crate::runtime::{backoff::jittered, metrics::Outcome};
use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus},
    apply::Applied,
    causes,
    decide::{Gate, Plan, decide},
    model::Diagnosis,
    observe::{FRESH_WHILE_FAILING, Observation},
    report::Context as Report,
    resources::build,
    validate::Installation,
};

/// observe → diagnose → decide → build → apply → report.
pub(super) async fn pass(
    resource: &FlagsmithDeployment,
    installation: &Installation,
    context: &Context,
    now: Timestamp,
) -> Result<(Action, Outcome), Error> {
    let mut view = View::new(installation, context, context.reporter.previous(resource), now).await;
    let (applied, result) = if installation.suspended {
        (Applied::default(), Ok(()))
    } else {
        let children = build(installation, &view.plan);
        context.applier.apply(installation, &view.plan, children).await
    };
    if applied.again {
        context.observer.look_again(&installation.identity.uid);
        result?;
        return Ok((Action::requeue(Duration::ZERO), Outcome::Changed));
    }
    // What was written is what must be reported on: a template that was replaced a moment ago is not rolled out,
    // whatever was seen of its predecessor. No request: the answers to the writes are at hand.
    if applied.written > 0 {
        view = View::new(installation, context, view.observation.previous, now).await;
    }
    let report = Report {
        installation,
        observation: &view.observation,
        plan: &view.plan,
        diagnoses: &view.diagnoses,
        complete: result.is_ok(),
    };
    let held_back = context.reporter.report(resource, report, &applied).await?;
    result?;
    let outcome = if applied.written > 0 {
        Outcome::Changed
    } else {
        Outcome::Unchanged
    };
    let next = view.next_look(installation, context, &applied, now);
    let wait = held_back.map_or_else(|| jittered(next, &mut rand::rng()), |wait| wait.min(next));
    Ok((Action::requeue(wait), outcome))
}

/// What one look shows, and what follows from it.
struct View {
    observation: Observation,
    diagnoses: Vec<Diagnosis>,
    plan: Plan,
}

impl View {
    async fn new(
        installation: &Installation,
        context: &Context,
        previous: FlagsmithDeploymentStatus,
        now: Timestamp,
    ) -> Self {
        let observation = context.observer.observe(installation, previous, now).await;
        let diagnoses = causes::diagnose(installation, &observation);
        let plan = decide(installation, &observation, &diagnoses);
        Self {
            observation,
            diagnoses,
            plan,
        }
    }

    /// When to look again without an event.
    fn next_look(
        &self,
        installation: &Installation,
        context: &Context,
        applied: &Applied,
        now: Timestamp,
    ) -> Duration {
        // Recorded just now: what waits for the record can go on.
        if matches!(self.plan.gate, Gate::Unrecorded(_)) {
            return Duration::ZERO;
        }
        // A refused child is tried again like a failing look: whoever removes the obstacle wants to see it heal.
        // So is a pod in trouble looked at again: some troubles only count after a while, without a further event.
        let mut pods = self.observation.pods.iter();
        if !applied.refused.is_empty() || pods.any(|pod| !pod.problems.is_empty() || pod.starting()) {
            return FRESH_WHILE_FAILING;
        }
        context.observer.next_look(&installation.identity.uid, now)
    }
}
