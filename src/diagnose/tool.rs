//! How the owner of an installation changes it, so that a remedy is something that he can type: a field of the
//! `FlagsmithDeployment`, a value of the official chart, or a kubectl command. Rules say what to change, never how.

use std::fmt::Write as _;

use super::Component;
use crate::{flagsmith::env, validate::SecretKey};

/// What the owner of an installation changes it with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// The `FlagsmithDeployment`, which the operator turns into objects.
    #[default]
    Resource,
    /// A release of the official chart (flagsmith/flagsmith; values as of chart 0.81.0).
    Helm {
        /// The name of the release.
        release: String,
        /// The version of the chart, so that a change of one value changes nothing else.
        chart: Option<String>,
        /// Its namespace.
        namespace: String,
    },
    /// Manifests that somebody wrote.
    Kubectl {
        /// The namespace.
        namespace: String,
        /// The Deployments of API, task processor and frontend.
        deployments: [Option<String>; 3],
    },
}

/// One thing to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The number of pods.
    Replicas(Component, i32),
    /// The tag of the image: a release.
    Tag(Component, &'a str),
    /// The memory limit.
    Memory(Component, &'a str),
    /// An environment variable.
    Env(Component, &'a str, &'a str),
    /// An environment variable that is to go.
    NoEnv(Component, &'a str),
    /// An environment variable that the task processor is to have from where the API has it: from this Secret, where
    /// it is one.
    SameAsApi(&'a str, Option<&'a SecretKey>),
    /// What the container is started with: the image's `flagsmith` and these arguments.
    Start(Component, &'a [&'a str]),
    /// A task processor where there is none.
    EnableTaskProcessor,
    /// No migration in the API's init containers; one Job instead.
    MigrateInJob,
    /// Seconds between SIGTERM and SIGKILL.
    GracePeriod(Component, i32),
    /// Seconds that the container sleeps before SIGTERM.
    PreStop(Component, i32),
    /// `timeoutSeconds` and `failureThreshold` of the liveness probe.
    Liveness(Component, i32, i32),
    /// No CPU limit.
    NoCpuLimit(Component),
    /// An annotation of an object that is no Deployment.
    Annotation {
        /// Its kind, as kubectl takes it.
        kind: &'a str,
        /// Its name.
        name: &'a str,
        /// The chart's value with its annotations, where the chart made it.
        values: Option<&'a str>,
        /// The annotation's key.
        key: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// A number of pods that only the autoscaler decides.
    LeaveReplicas(Component),
}

impl Tool {
    /// The changes as one command, or as a phrase that names fields of the `FlagsmithDeployment`.
    #[must_use]
    pub fn change(&self, changes: &[Change<'_>]) -> String {
        match self {
            Self::Resource => {
                let mut fields: Vec<String> = changes.iter().map(field).collect();
                fields.dedup();
                format!("Set {}", fields.join(" and "))
            }
            Self::Helm {
                release,
                chart,
                namespace,
            } => {
                let values: Vec<String> = changes.iter().map(value).collect();
                let mut command =
                    format!("helm upgrade {release} flagsmith/flagsmith --namespace {namespace}");
                if let Some(chart) = chart {
                    let _ = write!(command, " --version {chart}");
                }
                // --reuse-values makes the release's values the chart's defaults, and null then means those (Helm 3).
                if values.iter().any(|value| value.ends_with("=null")) {
                    command = format!(
                        "helm get values {release} --namespace {namespace} --output yaml | {command} --values -"
                    );
                } else {
                    command.push_str(" --reuse-values");
                }
                for value in values {
                    let _ = write!(command, " {value}");
                }
                command
            }
            Self::Kubectl {
                namespace,
                deployments,
            } => {
                let commands: Vec<String> = changes
                    .iter()
                    .map(|change| kubectl(change, namespace, deployments))
                    .collect();
                commands.join(" && ")
            }
        }
    }

    /// Whether the operator itself makes the objects.
    #[must_use]
    pub const fn is_resource(&self) -> bool {
        matches!(self, Self::Resource)
    }
}

/// The name of a component in the specification and in the chart's values.
const fn key(component: Component) -> &'static str {
    match component {
        Component::TaskProcessor => "taskProcessor",
        Component::Frontend => "frontend",
        Component::Migrations => "migrations",
        _ => "api",
    }
}

fn field(change: &Change<'_>) -> String {
    match change {
        Change::Replicas(component, pods) => format!("spec.{}.replicas: {pods}", key(*component)),
        Change::Tag(_, tag) => format!("spec.version: \"{tag}\""),
        Change::Memory(component, limit) => {
            format!("spec.{}.resources.limits.memory: {limit}", key(*component))
        }
        // What the operator computes is refused in env.
        Change::Env(component, name, value) => own_field(name).map_or_else(
            || format!("spec.{}.env: {name}=\"{value}\"", key(*component)),
            |field| format!("{field}: {value}"),
        ),
        Change::NoEnv(component, name) => own_field(name).map_or_else(
            || format!("spec.{}.env without {name}", key(*component)),
            |_| format!("spec.{}.envFrom to sources without {name}", key(*component)),
        ),
        Change::SameAsApi(name, _) => format!(
            "{}, and remove {name} from what envFrom reads",
            own_field(name).unwrap_or("spec.env")
        ),
        Change::NoCpuLimit(component) => format!("spec.{}.resources.limits without cpu", key(*component)),
        Change::Annotation { key, value, .. } => {
            format!("spec.exposure.ingress.annotations: {key}: \"{value}\"")
        }
        Change::LeaveReplicas(component) => format!(
            "spec.{0}.autoscaling instead of spec.{0}.replicas",
            key(*component)
        ),
        // The operator starts every component the way that works.
        Change::Start(..)
        | Change::PreStop(..)
        | Change::GracePeriod(..)
        | Change::Liveness(..)
        | Change::EnableTaskProcessor
        | Change::MigrateInJob => {
            "spec.suspend: false, so that the operator restores its own settings".to_owned()
        }
    }
}

/// The field that decides a variable, where it is one field.
fn own_field(variable: &str) -> Option<&'static str> {
    env::decided_by(variable).filter(|field| field.starts_with("spec.") && !field.contains(' '))
}

/// The chart's own value for a variable, where it has one.
fn chart_value(component: Component, variable: &str) -> Option<&'static str> {
    match (component, variable) {
        (Component::TaskProcessor, env::TASK_PROCESSOR_NUM_THREADS) => Some("numThreads"),
        (Component::TaskProcessor, env::TASK_PROCESSOR_SLEEP_INTERVAL) => Some("sleepIntervalMs"),
        _ => None,
    }
}

fn value(change: &Change<'_>) -> String {
    match change {
        Change::Replicas(component, pods) => format!("--set {}.replicacount={pods}", key(*component)),
        // The chart's migration Job runs the API's image.
        Change::Tag(Component::Migrations, tag) => format!("--set api.image.tag={tag}"),
        Change::Tag(component, tag) => format!("--set {}.image.tag={tag}", key(*component)),
        Change::Memory(component, limit) => {
            format!("--set {}.resources.limits.memory={limit}", key(*component))
        }
        Change::Env(component, name, value) => match chart_value(*component, name) {
            Some(own) => format!("--set {}.{own}={value}", key(*component)),
            None => format!("--set-string '{}.extraEnv.{name}={value}'", key(*component)),
        },
        Change::NoEnv(component, name) => format!("--set {}.extraEnv.{name}=null", key(*component)),
        // The chart gives the task processor every variable of the API's.
        Change::SameAsApi(name, _) => format!("--set taskProcessor.extraEnv.{name}=null"),
        Change::Start(component, arguments) => format!(
            "--set-json '{0}.command=[\"flagsmith\"]' --set-json '{0}.args={1}'",
            key(*component),
            list(arguments)
        ),
        Change::EnableTaskProcessor => "--set taskProcessor.enabled=true".to_owned(),
        Change::MigrateInJob => {
            "--set api.enableMigrateDbInitContainer=false --set jobs.migrateDb.enabled=true".to_owned()
        }
        Change::GracePeriod(component, seconds) => {
            format!(
                "--set {}.terminationGracePeriodSeconds={seconds}",
                key(*component)
            )
        }
        Change::PreStop(component, seconds) => format!(
            "--set {}.lifecycle.preStop.sleep.seconds={seconds}",
            key(*component)
        ),
        Change::Liveness(component, timeout, failures) => format!(
            "--set {0}.livenessProbe.timeoutSeconds={timeout},{0}.livenessProbe.failureThreshold={failures}",
            key(*component)
        ),
        Change::NoCpuLimit(component) => format!("--set {}.resources.limits.cpu=null", key(*component)),
        Change::Annotation {
            values, key, value, ..
        } => format!(
            "--set-string '{}.{}={}'",
            values.unwrap_or_default(),
            key.replace('.', "\\."),
            value.replace(',', "\\,")
        ),
        Change::LeaveReplicas(component) => format!("--set {}.replicacount=null", key(*component)),
    }
}

fn kubectl(change: &Change<'_>, namespace: &str, deployments: &[Option<String>; 3]) -> String {
    let name = |component: Component| {
        let [api, task_processor, frontend] = deployments;
        match component {
            Component::TaskProcessor => task_processor.as_deref().unwrap_or("TASK_PROCESSOR"),
            Component::Frontend => frontend.as_deref().unwrap_or("FRONTEND"),
            _ => api.as_deref().unwrap_or("API"),
        }
    };
    let patch = |component: Component, patch: &str| {
        format!(
            "kubectl -n {namespace} patch deployment {} {patch}",
            name(component)
        )
    };
    match change {
        Change::Replicas(component, pods) => format!(
            "kubectl -n {namespace} scale deployment {} --replicas={pods}",
            name(*component)
        ),
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
            "kubectl -n {namespace} set env deployment/{} {variable}='{value}'",
            name(*component)
        ),
        Change::NoEnv(component, variable) => format!(
            "kubectl -n {namespace} set env deployment/{} {variable}-",
            name(*component)
        ),
        Change::SameAsApi(variable, Some(SecretKey { name: secret, key })) => patch(
            Component::TaskProcessor,
            &format!(
                "--type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/env/-\",\"value\":{{\"name\":\"{variable}\",\"valueFrom\":{{\"secretKeyRef\":{{\"name\":\"{secret}\",\"key\":\"{key}\"}}}}}}}}]'"
            ),
        ),
        Change::SameAsApi(variable, None) => format!(
            "kubectl -n {namespace} set env deployment/{} {variable}=\"$(kubectl -n {namespace} exec deployment/{} -- printenv {variable})\"",
            name(Component::TaskProcessor),
            name(Component::Api)
        ),
        Change::Start(component, arguments) => patch(
            *component,
            &format!(
                "--type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/command\",\"value\":[\"flagsmith\"]}},{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/args\",\"value\":{}}}]'",
                list(arguments)
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
        Change::Annotation {
            kind,
            name,
            key,
            value,
            ..
        } => format!("kubectl -n {namespace} annotate --overwrite {kind} {name} '{key}={value}'"),
        Change::LeaveReplicas(component) => format!(
            "Remove spec.replicas from the manifest of Deployment {}",
            name(*component)
        ),
    }
}

/// A JSON list of strings.
fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CHANGES: [Change<'static>; 2] = [
        Change::Replicas(Component::TaskProcessor, 1),
        Change::Env(Component::Api, "GUNICORN_WORKERS", "2"),
    ];

    #[rstest]
    #[case(
        Tool::Resource,
        "Set spec.taskProcessor.replicas: 1 and spec.api.gunicorn.workers: 2"
    )]
    #[case(
        Tool::Helm { release: "acme".to_owned(), chart: Some("0.81.0".to_owned()), namespace: "prod".to_owned() },
        "helm upgrade acme flagsmith/flagsmith --namespace prod --version 0.81.0 --reuse-values --set taskProcessor.replicacount=1 --set-string 'api.extraEnv.GUNICORN_WORKERS=2'"
    )]
    #[case(
        Tool::Kubectl {
            namespace: "prod".to_owned(),
            deployments: [Some("web".to_owned()), Some("worker".to_owned()), None],
        },
        "kubectl -n prod scale deployment worker --replicas=1 && kubectl -n prod set env deployment/web GUNICORN_WORKERS='2'"
    )]
    fn says_the_same_in_each_tool(#[case] tool: Tool, #[case] expected: &str) {
        assert_eq!(tool.change(&CHANGES), expected);
    }

    #[test]
    fn the_migration_job_has_the_image_of_the_api() {
        let command = helm().change(&[Change::Tag(Component::Migrations, "2.265.0")]);
        assert!(command.ends_with("--set api.image.tag=2.265.0"), "{command}");
    }

    #[test]
    fn what_is_unset_is_unset_of_the_releases_own_values() {
        assert_eq!(
            helm().change(&[Change::LeaveReplicas(Component::Api)]),
            "helm get values acme --namespace prod --output yaml | helm upgrade acme flagsmith/flagsmith --namespace prod --values - --set api.replicacount=null"
        );
    }

    #[test]
    fn a_variable_is_set_where_its_owner_sets_it() {
        let threads = [Change::Env(
            Component::TaskProcessor,
            env::TASK_PROCESSOR_NUM_THREADS,
            "10",
        )];
        assert_eq!(
            Tool::Resource.change(&threads),
            "Set spec.taskProcessor.threads: 10"
        );
        let command = helm().change(&threads);
        assert!(
            command.ends_with("--set taskProcessor.numThreads=10"),
            "{command}"
        );
        let unknown = [Change::Env(Component::Api, "ENVIRONMENT", "prod")];
        assert_eq!(
            Tool::Resource.change(&unknown),
            "Set spec.api.env: ENVIRONMENT=\"prod\""
        );
    }

    fn helm() -> Tool {
        Tool::Helm {
            release: "acme".to_owned(),
            chart: None,
            namespace: "prod".to_owned(),
        }
    }
}
