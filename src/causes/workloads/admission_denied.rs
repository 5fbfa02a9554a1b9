//! The cluster's policy refuses an object.

use crate::{
    causes::{cause::Cause, consequences, context::Context, described, workloads::shared::replica_failures},
    model::{Code, Component, Draft},
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_NO_START,
    in_logs: Some(|logs| described::refused(logs, Code::AdmissionDenied, is, REMEDY)),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("admission_denied.md"))
};

const REMEDY: &str =
    "Change what the admission rule objects to (pod or container settings of this component), or the rule.";

fn is(words: &str) -> bool {
    !words.contains("exceeded quota")
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    replica_failures(context, Code::AdmissionDenied, is, REMEDY)
}
