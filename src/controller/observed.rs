//! A pass over an installation that the operator does not manage: it looks, diagnoses and reports. It is handed
//! nothing that could write anything but status and Events.

use jiff::Timestamp;

use super::{error::Error, next::Next};
use crate::{
    api::FlagsmithDeployment,
    apply::Applied,
    causes,
    decide::Plan,
    model::child::Kind,
    observe::{FRESH_WHILE_FAILING, Observer, watch::Namespaces},
    report::{self, Reporter},
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
pub(super) async fn reconcile(
    resource: &FlagsmithDeployment,
    subject: &ObservedInstallation,
    context: ReadOnlyContext<'_>,
    now: Timestamp,
) -> Result<Next, Error> {
    let ReadOnlyContext { namespaces, observer, reporter } = context;
    let previous = reporter.previous(resource);
    let objects = namespaces.objects(subject, observer.serves(Kind::HttpRoute)).await;
    let (found, observation) = Box::pin(observer.observe_external(subject, &objects, previous, now)).await;
    if let Some(wait) = observation.premature_for(subject.identity.generation) {
        return Ok(Next::after(wait, None));
    }
    let installation = &found.installation;
    let mut diagnoses = causes::diagnose(installation, &observation);
    diagnoses.extend(causes::unseen(&objects.not_seen));
    causes::sort(&mut diagnoses);
    let report = report::Context {
        installation,
        observation: &observation,
        plan: &Plan::of_nothing(installation, &observation),
        diagnoses: &diagnoses,
        complete: true,
    };
    let held_back = reporter.report(resource, report, &Applied::default()).await?;
    // Some troubles only count after a while, without a further event.
    let look = if observation.is_healthy() {
        observer.next_look(&subject.identity.uid, now)
    } else {
        FRESH_WHILE_FAILING
    };
    Ok(Next::after(look, held_back))
}
