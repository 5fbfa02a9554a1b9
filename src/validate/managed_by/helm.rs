//! Changes as values of the official chart.

use super::change::{Change, key};
use crate::{
    flagsmith::env,
    model::{Component, shell},
};

/// The chart's own value for a variable, where it has one.
fn chart_value(component: Component, variable: &str) -> Option<&'static str> {
    match (component, variable) {
        (Component::TaskProcessor, env::TASK_PROCESSOR_NUM_THREADS) => Some("numThreads"),
        (Component::TaskProcessor, env::TASK_PROCESSOR_SLEEP_INTERVAL) => Some("sleepIntervalMs"),
        _ => None,
    }
}

pub(super) fn value(change: &Change<'_>) -> String {
    match change {
        Change::Replicas(component, pods) => format!("--set {}.replicacount={pods}", key(*component)),
        // The chart's migration Job runs the API's image.
        Change::Tag(Component::Migrations, tag) => format!("--set api.image.tag={tag}"),
        Change::Tag(component, tag) => format!("--set {}.image.tag={tag}", key(*component)),
        Change::Memory(component, limit) => {
            format!("--set {}.resources.limits.memory={limit}", key(*component))
        }
        Change::Env(component, name, value) => match chart_value(*component, name) {
            Some(own) => format!("--set {}.{own}={}", key(*component), shell::name(value, "VALUE")),
            None => format!("--set-string '{}.extraEnv.{name}={}'", key(*component), literal(value)),
        },
        Change::NoEnv(component, name) => format!("--set {}.extraEnv.{name}=null", key(*component)),
        // The chart gives the task processor every variable of the API's.
        Change::SameAsApi { variable, .. } => format!("--set taskProcessor.extraEnv.{variable}=null"),
        Change::Start(component, arguments) => format!(
            "--set-json '{0}.command=[\"flagsmith\"]' --set-json '{0}.args={1}'",
            key(*component),
            shell::list(arguments)
        ),
        Change::EnableTaskProcessor => "--set taskProcessor.enabled=true".to_owned(),
        Change::MigrateInJob => {
            "--set api.enableMigrateDbInitContainer=false --set jobs.migrateDb.enabled=true".to_owned()
        }
        Change::GracePeriod(component, seconds) => {
            format!("--set {}.terminationGracePeriodSeconds={seconds}", key(*component))
        }
        // Charts from 0.82.0 on have a hook of their own; two handlers in one hook are refused.
        Change::PreStop(component, seconds) => format!(
            "--set {0}.lifecycle.preStop.exec=null,{0}.lifecycle.preStop.sleep.seconds={seconds}",
            key(*component)
        ),
        Change::Liveness(component, timeout, failures) => format!(
            "--set {0}.livenessProbe.timeoutSeconds={timeout},{0}.livenessProbe.failureThreshold={failures}",
            key(*component)
        ),
        Change::NoCpuLimit(component) => format!("--set {}.resources.limits.cpu=null", key(*component)),
        Change::Annotation { values, key, value, .. } => format!(
            "--set-string '{}.{}={}'",
            values.unwrap_or_default(),
            key.replace('.', "\\."),
            literal(value)
        ),
        Change::LeaveReplicas(component) => format!("--set {}.replicacount=null", key(*component)),
    }
}

/// Whether something is unset among these options: by null, which only `--set` takes as more than a text.
pub(super) fn unsets(options: &str) -> bool {
    options.starts_with("--set ") && options.split([',', ' ']).any(|one| one.ends_with("=null"))
}

/// A value within the single quotes of `--set-string`, where a comma would begin the next one.
fn literal(value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace(',', r"\,");
    shell::within_quotes(&escaped, "VALUE")
}

#[cfg(test)]
mod tests {
    use Component::{Api, Frontend, Migrations, TaskProcessor};

    use super::*;
    use crate::validate::ManagedBy;

    /// What `tests/chart/check` follows on a chart of each version. Every remedy that any test gets to see sets nothing else.
    const FOLLOWED: &str = include_str!("../../../tests/fixtures/official-chart/remedies.txt");

    fn annotation(values: &'static str) -> Change<'static> {
        Change::Annotation {
            kind: "ingress",
            name: "acme-flagsmith",
            values: Some(values),
            key: "nginx.ingress.kubernetes.io/proxy-read-timeout",
            value: "35",
        }
    }

    /// Each change of each component that has it.
    fn changes() -> Vec<Change<'static>> {
        let mut changes = Vec::new();
        for component in [Api, TaskProcessor, Frontend] {
            changes.extend([
                Change::Replicas(component, 2),
                Change::Tag(component, "2.265.0"),
                Change::Memory(component, "1Gi"),
                Change::NoCpuLimit(component),
                Change::Env(component, "LOG_LEVEL", "debug"),
                Change::NoEnv(component, "LOG_LEVEL"),
                Change::LeaveReplicas(component),
            ]);
        }
        for component in [Api, TaskProcessor] {
            changes.extend([Change::Liveness(component, 10, 6), Change::GracePeriod(component, 50)]);
        }
        changes.extend([
            Change::Tag(Migrations, "2.265.0"),
            Change::Env(Api, env::DJANGO_ALLOWED_HOSTS, "a.example,b.example"),
            Change::Env(TaskProcessor, env::TASK_PROCESSOR_NUM_THREADS, "5"),
            Change::Env(TaskProcessor, env::TASK_PROCESSOR_SLEEP_INTERVAL, "500"),
            Change::SameAsApi {
                deployment: "acme-flagsmith-task-processor",
                variable: "DATABASE_URL",
                key: None,
            },
            Change::Start(Api, &["start", "--keep-alive", "65", "api"]),
            Change::Start(TaskProcessor, &["start", "task-processor"]),
            Change::EnableTaskProcessor,
            Change::MigrateInJob,
            Change::PreStop(Api, 10),
            annotation("ingress.api.annotations"),
            annotation("ingress.frontend.annotations"),
        ]);
        changes
    }

    #[test]
    fn each_change_is_followed_on_a_real_api_server() {
        let owner = ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
        let commands: String = changes().iter().map(|change| owner.change(&[*change]) + "\n").collect();
        assert_eq!(commands, FOLLOWED);
    }
}
