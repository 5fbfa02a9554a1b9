//! The namespace's quota forbids the pod.

use crate::{
    causes::{cause::Cause, consequences, context::Context, workloads::shared::replica_failures},
    model::{Code, Component, Draft},
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_NO_START,
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("quota_exceeded.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    replica_failures(
        context,
        Code::QuotaExceeded,
        |words| words.contains("exceeded quota"),
        "Raise the ResourceQuota of the namespace, or lower replicas or resources.requests.",
    )
}
