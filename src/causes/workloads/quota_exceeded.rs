//! The namespace's quota forbids the pod.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
        workloads::shared::replica_failures,
    },
    model::{Code, Component, Draft, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    needs_person: true,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
    ],
    check: Some(check),
    is_refusal: true,
    ..Cause::new(include_str!("quota_exceeded.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    replica_failures(
        context,
        Code::QuotaExceeded,
        |words| words.contains("exceeded quota"),
        "Raise the ResourceQuota of the namespace, or lower replicas or resources.requests.",
    )
}
