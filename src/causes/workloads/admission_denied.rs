//! The cluster's policy refuses an object.

use crate::{
    causes::{cause::Cause, consequences, context::Context, workloads::shared::replica_failures},
    model::{Code, Component, Draft},
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_NO_START,
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("admission_denied.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    replica_failures(
        context,
        Code::AdmissionDenied,
        |words| !words.contains("exceeded quota"),
        "Change what the admission rule objects to (pod or container settings of this component), or the rule.",
    )
}
