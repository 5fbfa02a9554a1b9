//! A pass over an installation that the operator makes.

use std::{
    hash::{DefaultHasher, Hasher as _},
    io,
    time::Duration,
};

use jiff::Timestamp;

use super::{context::Context, error::Error, next::Next};
use crate::{
    api::FlagsmithDeployment,
    apply::Applied,
    causes,
    decide::{Gate, Plan, decide},
    model::Diagnosis,
    observe::{FRESH_WHILE_FAILING, Observation},
    report,
    resources::build,
    validate::Installation,
};

/// observe → diagnose → decide → build → apply → report.
pub(super) async fn reconcile(
    resource: &FlagsmithDeployment,
    installation: &Installation,
    context: &Context,
    now: Timestamp,
) -> Result<Next, Error> {
    let (uid, previous) = (&installation.identity.uid, context.reporter.previous(resource));
    let observation = Box::pin(context.observer.observe(installation, previous, now)).await;
    let mut view = View::of(installation, observation);
    let (applied, result) = if installation.suspended {
        (Applied::default(), Ok(()))
    } else {
        let (plan, specification) = (&view.plan, fingerprint(resource));
        context.applier.apply(installation, plan, specification, || build(installation, plan)).await
    };
    if !applied.secrets.is_empty() {
        context.observer.made(uid, applied.secrets.into_iter().map(|it| (it.name, it.content)));
        result?;
        return Ok(Next::at_once());
    }
    // What was written is what must be reported on: a template that was replaced a moment ago is not rolled out,
    // whatever was seen of its predecessor. No request: the answers to the writes are at hand.
    if applied.written > 0 {
        let previous = view.observation.previous;
        let observation = Box::pin(context.observer.observe(installation, previous, now)).await;
        view = View::of(installation, observation);
    }
    // Only the writer has seen it: the watches may be behind, and do not show pods that have outlived their Job.
    if let Some(held) = &applied.held {
        view.observation.external_migration.get_or_insert_with(|| held.clone());
        view = View::of(installation, view.observation);
    }
    // What was done to objects is told at once.
    if let Some(wait) = view.observation.premature_for(installation.identity.generation)
        && applied.has_nothing_to_tell()
    {
        result?;
        return Ok(Next::after(wait, None).having_written(applied.written));
    }
    let report = view.report(installation, result.is_ok());
    let held_back = context.reporter.report(resource, report, &applied).await?;
    result?;
    let look = view.next_look(&applied).unwrap_or_else(|| context.observer.next_look(uid, now));
    Ok(Next::after(look, held_back).having_written(applied.written))
}

/// The resource but for its status, as a number that is another one when any of it is.
fn fingerprint(resource: &FlagsmithDeployment) -> u64 {
    /// What is written is hashed.
    struct Hashed(DefaultHasher);
    impl io::Write for Hashed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashed = Hashed(DefaultHasher::new());
    let FlagsmithDeployment { metadata, spec, status: _ } = resource;
    let named = (&metadata.name, &metadata.namespace, &metadata.uid);
    let told = (metadata.generation, &metadata.labels, &metadata.annotations);
    // Writing into it cannot fail, and neither can a specification that was read from JSON.
    serde_json::to_writer(&mut hashed, &(named, told, spec)).unwrap_or_default();
    hashed.0.finish()
}

/// What was observed, and what follows from it: diagnose → decide.
struct View {
    observation: Observation,
    diagnoses: Vec<Diagnosis>,
    plan: Plan,
}

impl View {
    fn of(installation: &Installation, observation: Observation) -> Self {
        let diagnoses = causes::diagnose(installation, &observation);
        let plan = decide(installation, &observation, &diagnoses);
        Self { observation, diagnoses, plan }
    }

    const fn report<'a>(&'a self, installation: &'a Installation, complete: bool) -> report::Context<'a> {
        report::Context {
            installation,
            observation: &self.observation,
            plan: &self.plan,
            diagnoses: self.diagnoses.as_slice(),
            complete,
        }
    }

    /// When to look again earlier than the observer asks for.
    fn next_look(&self, applied: &Applied) -> Option<Duration> {
        // Recorded just now: what waits for the record can go on.
        if matches!(self.plan.gate, Gate::Unrecorded(_)) || applied.overtaken {
            return Some(Duration::ZERO);
        }
        // A refused child is tried again like a failing look: whoever removes the obstacle wants to see it heal.
        // So is a pod in trouble looked at again: some troubles only count after a while, without a further event.
        let mut pods = self.observation.pods.iter();
        let failing =
            !applied.refused.is_empty() || pods.any(|pod| !pod.problems.is_empty() || pod.starting());
        failing.then_some(FRESH_WHILE_FAILING)
    }
}
