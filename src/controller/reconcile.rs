//! One pass over one object, and what surrounds it: leadership, deadline, panics, back-off.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::runtime::controller::Action;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    guarded_resource::GuardedResource,
    managed,
    observed::{self, ReadOnlyContext},
};
use crate::runtime::{
    backoff::Failures,
    client,
    lease::Leadership,
    metrics::{Metrics, Outcome},
};
use crate::{
    api::FlagsmithDeployment,
    apply::{self, Applier},
    model::Code,
    observe::{Observer, watch::Namespaces},
    report::{self, Reporter},
    validate::{DesiredState, Identity, Problem, validate},
};

/// How long one pass may take: more than the deadlines of the few requests that one pass makes when each of them
/// is slow, and short enough that a hanging object is tried again within a minute.
const PASS_DEADLINE: Duration = Duration::from_mins(1);

/// What every pass needs.
pub struct Context {
    /// Looks.
    pub observer: Observer,
    /// Watches the namespaces in which somebody else's installations are looked at.
    pub namespaces: Namespaces,
    /// Writes.
    pub applier: Applier,
    /// Reports.
    pub reporter: Reporter,
    /// Whether this replica may write.
    pub leading: watch::Receiver<Leadership>,
    /// Whether the operator is to end: no pass begins any more.
    pub shutdown: CancellationToken,
    /// The passes under way.
    pub passes: TaskTracker,
    /// How often each object failed in a row.
    pub failures: Failures<String>,
    /// Counts.
    pub metrics: Metrics,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It took too long.
    #[error("the pass took longer than {} s", PASS_DEADLINE.as_secs())]
    Deadline,
    /// It panicked; the panic was logged where it happened.
    #[error("the pass panicked")]
    Panic,
    /// Children could not be written.
    #[error("children could not be written")]
    Apply(#[from] apply::Error),
    /// The status could not be written.
    #[error(transparent)]
    Report(#[from] report::Error),
}

impl Error {
    /// A constant label for metrics.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Panic => "panic",
            Self::Apply(error) => error.category(),
            Self::Report(_) => "status",
        }
    }
}

/// A pass that can neither hang nor take others down with it.
pub async fn reconcile_guarded(
    resource: Arc<GuardedResource>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let _under_way = context.passes.token();
    if context.shutdown.is_cancelled() || !context.leading.borrow().leads() {
        // Whoever leads looks at everything when leadership is won.
        return Ok(Action::await_change());
    }
    let pass = context.metrics.pass_started();
    // On the heap: with everything that it awaits a pass is a future of several kilobytes.
    let result = match AssertUnwindSafe(tokio::time::timeout(
        PASS_DEADLINE,
        Box::pin(reconcile(&resource, &context)),
    ))
    .catch_unwind()
    .await
    {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            context.metrics.pass_deadline_exceeded();
            Err(Error::Deadline)
        }
        Err(_) => {
            context.metrics.pass_panicked();
            Err(Error::Panic)
        }
    };
    match result {
        Ok((action, outcome)) => {
            pass.ended(outcome);
            context.failures.forget(&key(&resource));
            Ok(action)
        }
        Err(Error::Apply(apply::Error::NotLeading) | Error::Report(report::Error::NotLeading)) => {
            pass.ended(Outcome::Unchanged);
            Ok(Action::await_change())
        }
        Err(error) => {
            context.metrics.pass_failed(error.category());
            pass.ended(Outcome::Error);
            Err(error)
        }
    }
}

/// When to try again after a failure; logs its whole chain.
#[allow(clippy::needless_pass_by_value, reason = "the controller's interface")]
pub fn error_policy(resource: Arc<GuardedResource>, error: &Error, context: Arc<Context>) -> Action {
    let key = key(&resource);
    let wait = context.failures.failed(&key, &mut rand::rng());
    let deadline = matches!(error, Error::Apply(apply::Error::Kube(source)) if client::is_deadline(source));
    tracing::warn!(
        object = key,
        error = client::chain(error),
        category = error.category(),
        deadline,
        retry_in_seconds = wait.as_secs_f32(),
        "a pass failed"
    );
    Action::requeue(wait)
}

/// The first step, and who does the others.
async fn reconcile(resource: &GuardedResource, context: &Context) -> Result<(Action, Outcome), Error> {
    let resource = match &resource.0 {
        Ok(resource) if resource.metadata.deletion_timestamp.is_some() => {
            return Ok((Action::await_change(), Outcome::Unchanged));
        }
        Ok(resource) => resource,
        Err(invalid) => return Box::pin(undecodable(invalid, context)).await,
    };
    let now = Timestamp::now();
    match validate(resource) {
        Ok(DesiredState::Managed(installation)) => {
            // It may have been observed before.
            let identity = &installation.identity;
            context.namespaces.forget(&identity.namespace, &identity.uid);
            Box::pin(managed::pass(resource, &installation, context, now)).await
        }
        Ok(DesiredState::Observed(subject)) => {
            let eyes = ReadOnlyContext {
                namespaces: &context.namespaces,
                observer: &context.observer,
                reporter: &context.reporter,
            };
            Box::pin(observed::pass(resource, &subject, eyes, now)).await
        }
        Err(problems) => invalid(resource, problems, context, now).await,
    }
}

async fn invalid(
    resource: &FlagsmithDeployment,
    problems: Vec<Problem>,
    context: &Context,
    now: Timestamp,
) -> Result<(Action, Outcome), Error> {
    let Some(identity) = Identity::of(resource) else {
        return Ok((Action::await_change(), Outcome::Unchanged));
    };
    let held_back = context
        .reporter
        .report_invalid(resource, &identity, problems, now)
        .await?;
    Ok((
        held_back.map_or_else(Action::await_change, Action::requeue),
        Outcome::Unchanged,
    ))
}

/// An object that was stored before today's schema: only its metadata can be read, which is enough to say so.
async fn undecodable(
    object: &kube::core::error_boundary::InvalidObject,
    context: &Context,
) -> Result<(Action, Outcome), Error> {
    let shell: Option<FlagsmithDeployment> = serde_json::from_value(serde_json::json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": object.metadata,
        "spec": { "version": "", "database": {} },
    }))
    .ok();
    let Some(shell) = shell else {
        return Ok((Action::await_change(), Outcome::Unchanged));
    };
    let problem = Problem {
        code: Code::InvalidSpec,
        field: "spec".to_owned(),
        message: format!("the stored object cannot be read: {}", object.error),
        remedy: "Correct the field that the message names (kubectl edit), or apply the whole resource again."
            .to_owned(),
    };
    invalid(&shell, vec![problem], context, Timestamp::now()).await
}

fn key(resource: &GuardedResource) -> String {
    use kube::ResourceExt as _;
    format!(
        "{}/{}",
        resource.namespace().unwrap_or_default(),
        resource.name_any()
    )
}
