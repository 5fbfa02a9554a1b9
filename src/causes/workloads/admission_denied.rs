//! The cluster's policy refuses an object.

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
    ..Cause::new(include_str!("admission_denied.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    replica_failures(
        context,
        Code::AdmissionDenied,
        |words| !words.contains("exceeded quota"),
        "Change what the admission rule objects to (pod or container settings of this component), or the rule.",
    )
}
