//! A pass over an installation that somebody else made: it looks, diagnoses and reports. It is handed nothing that
//! could write anything but status and Events.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;

use super::reconcile::Error;
use crate::runtime::{backoff::jittered, metrics::Outcome};
use crate::{
    api::FlagsmithDeployment,
    apply::Applied,
    causes::live,
    decide::Plan,
    observe::{FRESH_WHILE_FAILING, Observer, watch::Namespaces},
    report::{Context, Reporter},
    validate::ObservedInstallation,
};

/// What such a pass needs.
#[derive(Clone, Copy)]
pub(super) struct ReadOnlyContext<'a> {
    pub(super) namespaces: &'a Namespaces,
    pub(super) observer: &'a Observer,
    pub(super) reporter: &'a Reporter,
}

/// observe → diagnose → report.
pub(super) async fn pass(
    resource: &FlagsmithDeployment,
    subject: &ObservedInstallation,
    eyes: ReadOnlyContext<'_>,
    now: Timestamp,
) -> Result<(Action, Outcome), Error> {
    let objects = eyes.namespaces.objects(subject, eyes.observer.http_route()).await;
    let previous = eyes.reporter.previous(resource);
    let (found, observation) =
        Box::pin(eyes.observer.observe_external(subject, &objects, previous, now)).await;
    let installation = &found.installation;
    let mut diagnoses = live::diagnose(installation, &observation);
    diagnoses.extend(live::unseen(&objects.not_seen));
    live::sort(&mut diagnoses);
    let report = Context {
        installation,
        observation: &observation,
        plan: &Plan::of_nothing(installation, &observation),
        diagnoses: &diagnoses,
        complete: true,
    };
    let held_back = eyes
        .reporter
        .report(resource, report, &Applied::default())
        .await?;
    // Some troubles only count after a while, without a further event.
    let next = if observation.is_healthy() {
        eyes.observer.next_look(&subject.identity.uid, now)
    } else {
        FRESH_WHILE_FAILING
    };
    let wait: Duration = held_back.map_or_else(|| jittered(next, &mut rand::rng()), |wait| wait.min(next));
    Ok((Action::requeue(wait), Outcome::Unchanged))
}
