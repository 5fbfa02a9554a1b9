//! A pod finds no node.

use crate::causes::{described, pods, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    in_logs: Some(|logs| {
        let serves = logs.component != Component::Migrations;
        serves.then(|| described::unschedulable(logs, Code::PodUnschedulable))?
    }),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("pod_unschedulable.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, |trouble| pods::unschedulable(trouble, Code::PodUnschedulable))
}
