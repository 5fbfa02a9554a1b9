//! A container refers to something that is not there.

use crate::causes::{described, pods, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    in_logs: Some(|logs| described::config_error(logs, Code::ContainerConfigError)),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("container_config_error.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, pods::config_error)
}
