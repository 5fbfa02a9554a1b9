//! One pass over one object, and what surrounds it: leadership, deadline, panics, back-off.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::{ResourceExt as _, core::error_boundary::InvalidObject, runtime::controller::Action};

use super::{
    context::Context,
    error::Error,
    guarded_resource::GuardedResource,
    managed,
    next::Next,
    observed::{self, ReadOnlyContext},
};
use crate::{
    api::FlagsmithDeployment,
    model::Code,
    runtime::{client, clock, lease::candidate::RENEW_PERIOD, metrics::Outcome, random},
    validate::{DesiredState, Identity, Problem, validate},
};

/// How long one pass may take: more than the deadlines of the few requests that one pass makes when each of them
/// is slow, and short enough that a hanging object is tried again within a minute.
const PASS_DEADLINE: Duration = Duration::from_mins(1);

/// How long a doubt about who leads is left to the election: as long as it takes to renew a lease.
const DOUBT: Duration = RENEW_PERIOD;

/// A pass that can neither hang nor take others down with it.
pub(super) async fn reconcile_guarded(
    resource: Arc<GuardedResource>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let _under_way = context.passes.token();
    if context.shutdown.is_cancelled() || !context.leading.borrow().leads() {
        return Ok(not_leading(&context));
    }
    let pass = context.metrics.pass_started();
    // On the heap: with everything that it awaits a pass is a future of several kilobytes.
    let result =
        match AssertUnwindSafe(tokio::time::timeout(PASS_DEADLINE, Box::pin(reconcile(&resource, &context))))
            .catch_unwind()
            .await
        {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => {
                context.metrics.pass_deadline_exceeded();
                Err(Error::Deadline(PASS_DEADLINE))
            }
            Err(_) => {
                context.metrics.pass_panicked();
                Err(Error::Panic)
            }
        };
    if !context.has(&resource) {
        // Deleted meanwhile, and forgotten: the pass has remembered it again.
        context.forget(&resource);
    }
    context.count_memories();
    match result {
        Ok(next) => {
            tracing::debug!(object = key(&resource), next = ?next.action, outcome = ?next.outcome, "a pass has ended");
            pass.ended(next.outcome);
            context.failures.forget(&key(&resource));
            Ok(next.action)
        }
        Err(error) if error.is_not_leading() => {
            pass.ended(Outcome::Unchanged);
            Ok(not_leading(&context))
        }
        Err(error) => {
            context.metrics.pass_failed(error.category());
            pass.ended(Outcome::Error);
            Err(error)
        }
    }
}

/// When to look again where this process does not lead. Whoever leads looks at everything when leadership is won; but a
/// clock that was set forward and back again makes a doubt of it that no election ends.
fn not_leading(context: &Context) -> Action {
    if context.leading.borrow().is_in_doubt() { Action::requeue(DOUBT) } else { Action::await_change() }
}

/// When to try again after a failure; logs its whole chain.
#[allow(clippy::needless_pass_by_value, reason = "the controller's interface")]
pub(super) fn error_policy(resource: Arc<GuardedResource>, error: &Error, context: Arc<Context>) -> Action {
    if !context.has(&resource) {
        return Action::await_change();
    }
    let key = key(&resource);
    let wait = context.failures.failed(&key, &mut random::rng());
    tracing::warn!(
        object = key,
        error = client::chain(error),
        category = error.category(),
        deadline = error.is_request_deadline(),
        retry_in_seconds = wait.as_secs_f32(),
        "a pass failed"
    );
    Action::requeue(wait)
}

/// The first step; the others depend on what it finds.
async fn reconcile(resource: &GuardedResource, context: &Context) -> Result<Next, Error> {
    let resource = match &resource.0 {
        Ok(resource) if resource.metadata.deletion_timestamp.is_some() => return Ok(Next::on_change()),
        Ok(resource) => resource,
        Err(invalid) => return Box::pin(undecodable(invalid, context)).await,
    };
    let now = clock::now();
    match validate(resource) {
        Ok(DesiredState::Managed(installation)) => {
            // It may have been observed before.
            let identity = &installation.identity;
            context.namespaces.forget(&identity.namespace, &identity.uid);
            Box::pin(managed::reconcile(resource, &installation, context, now)).await
        }
        Ok(DesiredState::Observed(subject)) => {
            let context = ReadOnlyContext {
                namespaces: &context.namespaces,
                observer: &context.observer,
                reporter: &context.reporter,
            };
            Box::pin(observed::reconcile(resource, &subject, context, now)).await
        }
        Err(problems) => invalid(resource, problems, context, now).await,
    }
}

async fn invalid(
    resource: &FlagsmithDeployment,
    problems: Vec<Problem>,
    context: &Context,
    now: Timestamp,
) -> Result<Next, Error> {
    let Some(identity) = Identity::of(resource) else {
        return Ok(Next::on_change());
    };
    let held_back = context.reporter.report_invalid(resource, &identity, problems, now).await?;
    Ok(Next::on_change_or_after(held_back))
}

/// An object that was stored before today's schema: only its metadata can be read, which is enough to say so.
async fn undecodable(object: &InvalidObject, context: &Context) -> Result<Next, Error> {
    let shell: Option<FlagsmithDeployment> = serde_json::from_value(serde_json::json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": object.metadata,
        "spec": { "version": "", "database": {} },
    }))
    .ok();
    let Some(shell) = shell else {
        return Ok(Next::on_change());
    };
    let problem = Problem {
        code: Code::InvalidSpec,
        field: "spec".to_owned(),
        message: format!("the stored object cannot be read: {}", object.error),
        remedy: "Correct the field that the message names (kubectl edit), or apply the whole resource again."
            .to_owned(),
    };
    invalid(&shell, vec![problem], context, clock::now()).await
}

fn key(resource: &GuardedResource) -> String {
    format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any())
}

#[cfg(test)]
mod tests;
