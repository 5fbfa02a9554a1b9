//! Changes as kubectl commands.

use super::change::Change;
use crate::{
    model::{Component, shell},
    validate::secret_key::SecretKey,
};

pub(super) fn command(change: &Change<'_>, namespace: &str, deployments: &[Option<String>; 3]) -> String {
    let name = |component: Component| named(component, deployments);
    let patch = |component: Component, change: &str| patch(namespace, name(component), change);
    match change {
        Change::Replicas(component, pods) => {
            format!("kubectl -n {namespace} scale deployment {} --replicas={pods}", name(*component))
        }
        // The repository that is there, with another tag.
        Change::Tag(component, tag) => format!(
            "kubectl -n {namespace} get deployment {0} -o json | sed -E 's#(\"image\": *\"[^\"]*flagsmith[^\":]*):[^\"]*\"#\\1:{tag}\"#' | kubectl apply -f -",
            name(*component),
        ),
        Change::Memory(component, limit) => format!(
            "kubectl -n {namespace} set resources deployment/{} --limits=memory={limit}",
            name(*component)
        ),
        Change::Env(component, variable, value) => format!(
            "kubectl -n {namespace} set env deployment/{} {variable}='{}'",
            name(*component),
            shell::within_quotes(value, "VALUE")
        ),
        Change::NoEnv(component, variable) => {
            format!("kubectl -n {namespace} set env deployment/{} {variable}-", name(*component))
        }
        Change::SameAsApi { variable, key, .. } => same_as_api(variable, *key, namespace, deployments),
        Change::Start(component, arguments) => patch(
            *component,
            &format!(
                "--type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/command\",\"value\":[\"flagsmith\"]}},{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/args\",\"value\":{}}}]'",
                shell::list(arguments)
            ),
        ),
        Change::EnableTaskProcessor => format!(
            "kubectl -n {namespace} create deployment flagsmith-task-processor --image=\"$(kubectl -n {namespace} get deployment {} -o jsonpath='{{.spec.template.spec.containers[0].image}}')\" -- flagsmith start task-processor, with the environment of the API",
            name(Component::Api)
        ),
        Change::MigrateInJob => format!(
            "{}, and run \"flagsmith migrate\" in a Job before each new release",
            patch(
                Component::Api,
                "--type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/initContainers\"}]'"
            )
        ),
        Change::GracePeriod(component, seconds) => patch(
            *component,
            &format!(
                "-p '{{\"spec\":{{\"template\":{{\"spec\":{{\"terminationGracePeriodSeconds\":{seconds}}}}}}}}}'"
            ),
        ),
        Change::PreStop(component, seconds) => patch(
            *component,
            &format!(
                "--type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/lifecycle\",\"value\":{{\"preStop\":{{\"sleep\":{{\"seconds\":{seconds}}}}}}}}}]'"
            ),
        ),
        Change::Liveness(component, timeout, failures) => patch(
            *component,
            &format!(
                "--type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/livenessProbe/timeoutSeconds\",\"value\":{timeout}}},{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/livenessProbe/failureThreshold\",\"value\":{failures}}}]'"
            ),
        ),
        Change::NoCpuLimit(component) => patch(
            *component,
            "--type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/containers/0/resources/limits/cpu\"}]'",
        ),
        Change::Annotation { kind, name, key, value, .. } => format!(
            "kubectl -n {namespace} annotate --overwrite {kind} {} '{key}={}'",
            shell::name(name, "NAME"),
            shell::within_quotes(value, "VALUE")
        ),
        Change::LeaveReplicas(component) => {
            format!("Remove spec.replicas from the manifest of Deployment {}", name(*component))
        }
    }
}

fn patch(namespace: &str, deployment: &str, change: &str) -> String {
    format!("kubectl -n {namespace} patch deployment {deployment} {change}")
}

fn named(component: Component, deployments: &[Option<String>; 3]) -> &str {
    let [api, task_processor, frontend] = deployments;
    match component {
        Component::TaskProcessor => task_processor.as_deref().unwrap_or("TASK_PROCESSOR"),
        Component::Frontend => frontend.as_deref().unwrap_or("FRONTEND"),
        _ => api.as_deref().unwrap_or("API"),
    }
}

fn same_as_api(
    variable: &str,
    key: Option<&SecretKey>,
    namespace: &str,
    deployments: &[Option<String>; 3],
) -> String {
    let processor = named(Component::TaskProcessor, deployments);
    match key {
        Some(SecretKey { name: secret, key }) => patch(
            namespace,
            processor,
            &format!(
                "--type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/env/-\",\"value\":{{\"name\":\"{variable}\",\"valueFrom\":{{\"secretKeyRef\":{{\"name\":\"{secret}\",\"key\":\"{key}\"}}}}}}}}]'"
            ),
        ),
        None => format!(
            "kubectl -n {namespace} set env deployment/{processor} {variable}=\"$(kubectl -n {namespace} exec deployment/{} -- printenv {variable})\"",
            named(Component::Api, deployments)
        ),
    }
}
