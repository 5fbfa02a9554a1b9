//! The namespace's quota forbids the pod.

use crate::{
    causes::{cause::Cause, consequences, context::Context, described, workloads::shared::replica_failures},
    model::{Code, Component, Draft},
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_NO_START,
    in_logs: Some(|logs| described::refused(logs, Code::QuotaExceeded, is, REMEDY)),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("quota_exceeded.md"))
};

const REMEDY: &str = "Raise the ResourceQuota of the namespace, or lower replicas or resources.requests.";

fn is(words: &str) -> bool {
    words.contains("exceeded quota")
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    replica_failures(context, Code::QuotaExceeded, is, REMEDY)
}
